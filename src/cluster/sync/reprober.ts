/**
 * Asks members that gossip doubts whether they are there. Gossip of membership does not talk to the
 * dead, so who was cut off comes back only when somebody dials it; and who was cut off doubts all
 * the others, and says so as soon as it is back. One packet to the doubted one, answered with its
 * head and a new announcement of itself, ends either within a round trip.
 */
import type { Timer } from '../../base/clock.ts'
import { below, sample } from '../../base/random.ts'
import { oidOfName } from '../log/digest.ts'
import type { SyncContext } from './context.ts'

/** Milliseconds between two turns, on average; nobody is knocked at twice in one. */
const turnMs = 500
/**
 * In a turn this many of the dead are knocked at by all members together, at least, and by one at
 * most.
 */
const probesPerTurn = 4
/** Doubted ones asked at once, when somebody says that we were away. */
const maxAtOnce = 64

export class Reprober {
  readonly #ports: SyncContext
  readonly #thisTurn = new Set<string>()
  #timer: Timer | null = null

  constructor(ports: SyncContext) {
    this.#ports = ports
  }

  start(): void {
    const { clock, random } = this.#ports
    const wait = turnMs * (0.75 + below(random, 512) / 1024)
    this.#timer = clock.setTimeout(() => this.#turn(), wait)
  }

  close(): void {
    if (this.#timer !== null) this.#ports.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Asks a member whether it is there. */
  at(member: string): void {
    if (this.#timer === null || this.#thisTurn.has(member)) return
    this.#thisTurn.add(member)
    this.#ports.sender.send(member, [{ kind: 'who', oid: oidOfName(member) }])
  }

  /** We were away, as it seems: then all whom we doubt may be there. */
  atAll(): void {
    const { random, members } = this.#ports
    this.#thisTurn.clear()
    for (const member of sample(random, members.unreachable(), maxAtOnce)) this.at(member)
  }

  /** The more are dead, the likelier: so one dead member hears of all together, not of each. */
  #turn(): void {
    this.start()
    this.#thisTurn.clear()
    const { random, members } = this.#ports
    const doubted = members.unreachable()
    const present = members.live().length + 1
    if (below(random, present) >= probesPerTurn * doubted.length) return
    for (const member of sample(random, doubted, probesPerTurn)) this.at(member)
  }
}
