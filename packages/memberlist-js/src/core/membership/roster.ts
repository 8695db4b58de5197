import type { Member } from '../../member.ts'
import { below, sample, shuffle, type Random } from '../../ports/random.ts'

/** All members we know of, with a fair order to probe them in and fair draws among them. */
export class Roster {
  readonly #random: Random
  readonly #members = new Map<string, Member>()
  /** For draws; its order means nothing. */
  readonly #names: string[] = []
  /** The round in which every member is probed once. */
  #round: string[] = []
  #next = 0

  constructor(random: Random) {
    this.#random = random
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members
  }

  get size(): number {
    return this.#members.size
  }

  get(name: string): Member | undefined {
    return this.#members.get(name)
  }

  /** Whether a member that is alive or suspect has that address. */
  hasAddress(address: string): boolean {
    for (const { address: other, state } of this.#members.values())
      if (other === address && (state === 'alive' || state === 'suspect')) return true
    return false
  }

  /** Adds a member or replaces what is known of it. A new one takes a random place in the round. */
  set(member: Member): void {
    const known = this.#members.has(member.name)
    this.#members.set(member.name, member)
    if (known) return
    this.#names.push(member.name)
    const last = this.#round.push(member.name) - 1
    const place = below(this.#random, last + 1)
    this.#round[last] = this.#round[place]!
    this.#round[place] = member.name
  }

  /** Up to `count` different members that satisfy `wanted`, uniformly drawn. */
  draw(count: number, wanted: (member: Member) => boolean): Member[] {
    const names = sample(this.#random, this.#names, count, (name) =>
      wanted(this.#members.get(name)!),
    )
    return names.map((name) => this.#members.get(name)!)
  }

  /**
   * The `count` members that come next after `name` in the order of names, of those that satisfy
   * `wanted`.
   */
  following(name: string, count: number, wanted: (member: Member) => boolean): Member[] {
    const comesBefore = (a: string, b: string) => (a > name === b > name ? a < b : a > name)
    const nearest: Member[] = []
    for (const member of this.#members.values()) {
      if (member.name === name || !wanted(member)) continue
      const last = nearest.at(-1)
      if (nearest.length === count && !comesBefore(member.name, last!.name)) continue
      const at = nearest.findIndex((other) => comesBefore(member.name, other.name))
      nearest.splice(at < 0 ? nearest.length : at, 0, member)
      if (nearest.length > count) nearest.pop()
    }
    return nearest
  }

  /**
   * The next member of the round that satisfies `wanted`. When a round is over the members that are
   * `expired` are removed, and the rest is shuffled: so each is probed once per round, and twice in
   * a row at most.
   */
  nextInRound(
    wanted: (member: Member) => boolean,
    expired: (member: Member) => boolean,
  ): Member | undefined {
    // The rest of this round and all of the next: whoever is wanted is in there.
    for (let looked = 0; looked < 2 * this.size; looked++) {
      if (this.#next >= this.#round.length) this.#newRound(expired)
      const member = this.#members.get(this.#round[this.#next++] ?? '')
      if (member !== undefined && wanted(member)) return member
    }
    return undefined
  }

  #newRound(expired: (member: Member) => boolean): void {
    for (const member of [...this.#members.values()].filter(expired)) {
      this.#members.delete(member.name)
      this.#names.splice(this.#names.indexOf(member.name), 1)
    }
    this.#round = [...this.#members.keys()]
    shuffle(this.#random, this.#round)
    this.#next = 0
  }
}
