import type { Generation, NetworkClaim } from './claim.ts'
import type { NetworksStore } from './ports.ts'

const claimsTable = 'networks.claims'
const generationsTable = 'networks.generations'
/** Removals beyond these, of which hosts that were away for long may not hear, are forgotten. */
const maxRemovals = 256

/** What this member has published, and which claim each network of its engine goes back to. */
export class OwnClaims {
  readonly #store: NetworksStore
  readonly #claims: Map<string, NetworkClaim>
  readonly #generations: Map<string, Generation>

  constructor(store: NetworksStore) {
    this.#store = store
    this.#claims = new Map(store.entries(claimsTable))
    this.#generations = new Map(store.entries(generationsTable))
  }

  all(): NetworkClaim[] {
    return [...this.#claims.values()]
  }

  generation(networkId: string): Generation | undefined {
    return this.#generations.get(networkId)
  }

  /** Keeps a claim, and with an id which network it is. Returns the names that are too many now. */
  async put(claim: NetworkClaim, networkId: string | null): Promise<string[]> {
    await this.#store.write([
      { table: claimsTable, key: claim.name, value: claim },
      ...(networkId === null ? [] : [this.#generationRow(networkId, claim.generation)]),
    ])
    this.#claims.delete(claim.name)
    this.#claims.set(claim.name, claim)
    if (networkId !== null) this.#generations.set(networkId, claim.generation)
    const removals = [...this.#claims.values()].filter(({ spec }) => spec === null)
    return removals.slice(0, Math.max(0, removals.length - maxRemovals)).map(({ name }) => name)
  }

  async drop(name: string): Promise<void> {
    await this.#store.write([{ table: claimsTable, key: name, value: null }])
    this.#claims.delete(name)
  }

  async setGeneration(networkId: string, generation: Generation): Promise<void> {
    await this.#store.write([this.#generationRow(networkId, generation)])
    this.#generations.set(networkId, generation)
  }

  /** Forgets networks that the engine does not have. */
  async keepOnly(networkIds: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#generations.keys()].filter((id) => !networkIds.has(id))
    if (gone.length === 0) return
    await this.#store.write(gone.map((key) => ({ table: generationsTable, key, value: null })))
    for (const id of gone) this.#generations.delete(id)
  }

  #generationRow(networkId: string, generation: Generation) {
    return { table: generationsTable, key: networkId, value: generation }
  }
}
