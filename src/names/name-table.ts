import type { Ip } from '../net/ip.ts'
import type { Vni } from '../net/vni.ts'

/*
 * Who is called what, and who may ask: endpoints with their names and addresses by overlay, and the
 * overlays that each sandbox is on. Changes are plain values, so that a table can live in another
 * thread than the rooms that know them.
 *
 * Its invariant: it answers for a name only when an endpoint of another host has it. Names of this
 * host alone are the engine's, and so is everything that it does not know.
 */

/**
 * One change of the table. An endpoint's key is unique among those of all members; its addresses
 * and its names come from two records, in any order. Null removes.
 */
export type TableChange =
  | {
      readonly kind: 'addresses'
      readonly key: string
      readonly value: EndpointAddresses | null
    }
  | {
      readonly kind: 'names'
      readonly key: string
      /** The container's name first. */
      readonly value: readonly string[] | null
    }
  | {
      readonly kind: 'network'
      readonly vni: Vni
      /** What the network of that overlay is called on this host. */
      readonly value: string | null
    }
  | {
      readonly kind: 'sandbox'
      readonly sandbox: string
      readonly value: readonly Vni[] | null
    }

interface EndpointAddresses {
  readonly vni: Vni
  readonly ips: readonly Ip[]
  /** Whether it is on another host. */
  readonly isRemote: boolean
}

/** One endpoint, or the part of it that is known. */
interface Entry {
  addresses: EndpointAddresses | null
  names: readonly string[]
}

interface Overlay {
  readonly byName: Map<string, Set<Entry>>
  readonly byIp: Map<Ip, Set<Entry>>
  networkName: string
}

/** An overlay with what its network is called here, lower case. */
interface Scope {
  readonly overlay: Overlay
  readonly network: string
}

export class NameTable {
  readonly #entries = new Map<string, Entry>()
  readonly #overlays = new Map<Vni, Overlay>()
  readonly #sandboxes = new Map<string, readonly Vni[]>()

  apply(changes: readonly TableChange[]): void {
    for (const change of changes) this.#apply(change)
  }

  /**
   * The addresses of a name for one sandbox, of this host's endpoints too; null when no endpoint of
   * another host has it. `name` is in lower case, without a dot at its end. As the engine does, the
   * whole name is looked for in each network, ordered by name; then it is split at each dot, from
   * the right, into a name and a network.
   */
  addressesOf(sandbox: string, name: string): Ip[] | null {
    const scopes = this.#scopesOf(sandbox)
    for (const { overlay } of scopes) {
      const found = overlay.byName.get(name)
      if (found !== undefined) return addressesIn(found)
    }
    for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
      const [head, network] = [name.slice(0, dot), name.slice(dot + 1)]
      for (const scope of scopes.filter((candidate) => candidate.network === network)) {
        const found = scope.overlay.byName.get(head)
        if (found !== undefined) return addressesIn(found)
      }
    }
    return null
  }

  /** `name.network` of an address of another host's endpoint; null when none has it. */
  nameOf(sandbox: string, ip: Ip): string | null {
    for (const { overlay } of this.#scopesOf(sandbox))
      for (const { names, addresses } of overlay.byIp.get(ip) ?? []) {
        const name = names[0]
        if (name === undefined || addresses?.isRemote !== true) continue
        return overlay.networkName === '' ? name : `${name}.${overlay.networkName}`
      }
    return null
  }

  #scopesOf(sandbox: string): Scope[] {
    const vnis = this.#sandboxes.get(sandbox) ?? []
    const scopes = vnis.map((vni) => {
      const overlay = this.#overlay(vni)
      return { overlay, network: overlay.networkName.toLowerCase() }
    })
    return scopes.length < 2
      ? scopes
      : scopes.sort((a, b) => (a.overlay.networkName < b.overlay.networkName ? -1 : 1))
  }

  #apply(change: TableChange): void {
    switch (change.kind) {
      case 'addresses':
        return this.#change(change.key, { addresses: change.value })
      case 'names':
        return this.#change(change.key, { names: change.value ?? [] })
      case 'network':
        this.#overlay(change.vni).networkName = change.value ?? ''
        return
      case 'sandbox':
        if (change.value === null) this.#sandboxes.delete(change.sandbox)
        else this.#sandboxes.set(change.sandbox, change.value)
    }
  }

  #change(key: string, change: Partial<Entry>): void {
    const entry = this.#entries.get(key) ?? { addresses: null, names: [] }
    this.#index(entry, removeFrom)
    Object.assign(entry, change)
    if (entry.addresses === null && entry.names.length === 0) this.#entries.delete(key)
    else this.#entries.set(key, entry)
    this.#index(entry, addTo)
  }

  /** Changes the indexes of an endpoint whose addresses are known. */
  #index(entry: Entry, write: <K>(index: Map<K, Set<Entry>>, key: K, entry: Entry) => void): void {
    if (entry.addresses === null) return
    const { byName, byIp } = this.#overlay(entry.addresses.vni)
    for (const name of entry.names) write(byName, name.toLowerCase(), entry)
    for (const ip of entry.addresses.ips) write(byIp, ip, entry)
  }

  #overlay(vni: Vni): Overlay {
    let overlay = this.#overlays.get(vni)
    if (overlay === undefined) {
      overlay = { byName: new Map(), byIp: new Map(), networkName: '' }
      this.#overlays.set(vni, overlay)
    }
    return overlay
  }
}

/** All addresses, or null when all are this host's: then the engine knows better. */
function addressesIn(entries: ReadonlySet<Entry>): Ip[] | null {
  const endpoints = [...entries].flatMap(({ addresses }) => addresses ?? [])
  if (!endpoints.some(({ isRemote }) => isRemote)) return null
  const ips = endpoints.flatMap(({ ips: some }) => some)
  return [...new Set(ips)]
}

function addTo<K>(index: Map<K, Set<Entry>>, key: K, entry: Entry): void {
  const entries = index.get(key)
  if (entries === undefined) index.set(key, new Set([entry]))
  else entries.add(entry)
}

function removeFrom<K>(index: Map<K, Set<Entry>>, key: K, entry: Entry): void {
  const entries = index.get(key)
  entries?.delete(entry)
  if (entries?.size === 0) index.delete(key)
}
