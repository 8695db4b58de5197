import { createHash } from 'node:crypto'
import { failure } from '../../../base/errors.ts'
import type { Request } from '../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'
import {
  type TableSpec,
  addElements,
  batchBegin,
  batchEnd,
  createTable,
  deleteElements,
  deleteTable,
  getCounters,
  getElements,
  getRules,
  readCounter,
  readElements,
  readRule,
} from './nftables.ts'

/** What the kernel answers where there is no such table, chain or set. */
const absent = new Set(['ENOENT', 'ESRCH'])

/**
 * One nf_tables table of ours. Every change is one transaction, so that packets never meet half of
 * it; replacing the rules keeps the elements of the sets. Rules that somebody changed are told by a
 * digest of what the kernel had when we made them; after a start, when there is none, they are
 * replaced once.
 */
export class Table {
  readonly spec: TableSpec
  readonly #socket: NetlinkSocket
  #digest: string | null = null

  /** `socket` is a NETLINK_NETFILTER socket of the namespace that the table is in. */
  constructor(socket: NetlinkSocket, spec: TableSpec) {
    this.#socket = socket
    this.spec = spec
  }

  /** Creates the table, or again where its rules differ. @returns what was changed, in words. */
  ensure(): string[] {
    const found = this.#readDigest()
    if (found !== null && found === this.#digest) return []
    const kept = this.spec.sets
      .filter((set) => set.dynamic === undefined && set.hasTimeouts !== true)
      .flatMap((set) => addElements(this.spec, set.name, this.#elementsOr(set.name)))
    const removal = found === null && !this.exists() ? [] : [deleteTable(this.spec)]
    this.#transact([...removal, ...createTable(this.spec), ...kept])
    const known = this.#digest !== null
    this.#digest = this.#readDigest()
    if (found === null) return ['filter made']
    return known ? ['filter rules repaired'] : []
  }

  /** Creates and removes the table in one transaction. Throws when the kernel refuses. */
  probe(): void {
    if (!this.exists()) this.#transact([...createTable(this.spec), deleteTable(this.spec)])
  }

  /** Whether the table is there. */
  exists(): boolean {
    try {
      this.elements(this.spec.sets[0]!.name)
      return true
    } catch (error) {
      if (isAbsent(error)) return false
      throw error
    }
  }

  /** The keys of a set. Fails when the table is not there. */
  elements(set: string): Buffer[] {
    return this.#socket.dump(getElements(this.spec, set)).flatMap(readElements)
  }

  /**
   * Makes `keys` the only ones in a set among those that `owns` holds for, in one transaction.
   * @returns how many keys it changed.
   */
  replace(set: string, owns: (key: Buffer) => boolean, keys: readonly Buffer[]): number {
    const found = this.elements(set)
    const [there, wanted] = [new Set(found.map(textOf)), new Set(keys.map(textOf))]
    const gone = found.filter((key) => owns(key) && !wanted.has(textOf(key)))
    const fresh = keys.filter((key) => !there.has(textOf(key)))
    this.#transact([...deleteElements(this.spec, set, gone), ...addElements(this.spec, set, fresh)])
    return gone.length + fresh.length
  }

  /** Packets counted by name since the table was made; empty when it is not there. */
  counters(): Map<string, number> {
    try {
      const found = this.#socket.dump(getCounters(this.spec)).map(readCounter)
      return new Map(found.map(({ name, packets }) => [name, Number(packets)]))
    } catch (error) {
      if (isAbsent(error)) return new Map()
      throw error
    }
  }

  /** Removes the table. None is no error. */
  remove(): void {
    this.#digest = null
    if (this.exists()) this.#transact([deleteTable(this.spec)])
  }

  #transact(requests: readonly Request[]): void {
    if (requests.length === 0) return
    const [error] = this.#socket.transact(batchBegin, requests, batchEnd).values()
    if (error === undefined) return
    const why = `${error.message}; does this kernel have nf_tables for ${this.spec.family}?`
    throw failure('KERNEL', `filter ${this.spec.name}: ${why}`, error)
  }

  #elementsOr(set: string): Buffer[] {
    try {
      return this.elements(set)
    } catch (error) {
      if (isAbsent(error)) return []
      throw error
    }
  }

  /** Of the rules in the kernel; null when there is no such chain, or it is empty. */
  #readDigest(): string | null {
    try {
      const rules = this.#socket.dump(getRules(this.spec))
      if (rules.length === 0) return null
      const hash = createHash('sha256')
      for (const rule of rules) hash.update(readRule(rule))
      return hash.digest('hex')
    } catch (error) {
      if (isAbsent(error)) return null
      throw error
    }
  }
}

function textOf(key: Buffer): string {
  return key.toString('latin1')
}

function isAbsent(error: unknown): boolean {
  return error instanceof NetlinkError && absent.has(error.code)
}
