import type { IpamWorld } from './ipam-world.ts'

/**
 * Writes down who holds which address, from what the hosts were answered, and knows nothing of how it came about. A container
 * holds its address from the answer until its release is asked for; it outlives its host's plugin.
 */
export class Observer {
  readonly #world: IpamWorld
  readonly #holders = new Map<string, string>()
  readonly log: string[] = []
  given = 0
  released = 0
  refused = new Map<string, number>()

  constructor(world: IpamWorld) {
    this.#world = world
  }

  note(line: string): void {
    this.log.push(`${this.#world.clock.now().toFixed(1).padStart(9)} ${line}`)
  }

  /** A host was answered with an address. */
  takes(host: string, poolKey: string, address: string): void {
    const key = `${poolKey} ${address.split('/')[0]}`
    const holder = this.#holders.get(key)
    this.note(`${host} has ${key}`)
    if (holder !== undefined) throw new Error(`${key} is held by ${holder} and given to ${host}`)
    this.#holders.set(key, host)
    this.given++
  }

  /** A host asks to release an address. */
  frees(host: string, poolKey: string, ip: string): void {
    this.note(`${host} frees ${poolKey} ${ip}`)
    this.#holders.delete(`${poolKey} ${ip}`)
    this.released++
  }

  /** All containers of a host are gone. */
  loses(host: string): void {
    this.note(`${host} has nothing any more`)
    for (const [key, holder] of this.#holders) if (holder === host) this.#holders.delete(key)
  }

  /** A host removes a network: its containers are gone before. */
  removes(host: string, poolKey: string): void {
    this.note(`${host} has nothing in ${poolKey} any more`)
    for (const [key, ip] of this.heldBy(host)) {
      if (key === poolKey) this.#holders.delete(`${key} ${ip}`)
    }
  }

  refuses(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1)
  }

  /** What a host holds, as `[pool key, address]`. */
  heldBy(host: string): [string, string][] {
    const held: [string, string][] = []
    for (const [key, holder] of this.#holders) {
      const end = key.lastIndexOf(' ')
      if (holder === host) held.push([key.slice(0, end), key.slice(end + 1)])
    }
    return held
  }

  /** The host that holds an address. */
  holderOf(poolKey: string, ip: string): string | undefined {
    return this.#holders.get(`${poolKey} ${ip}`)
  }

  get size(): number {
    return this.#holders.size
  }
}
