import { expect } from 'chai'
import fc from 'fast-check'
import { VirtualClock } from 'memberlist-js'
import { seededRandom } from '../../../../src/base/random.ts'
import {
  type GossipKeys,
  firstGossipKeys,
  installGossipKey,
  removeGossipKeys,
  useGossipKey,
} from '../../../../src/identity/packets/gossip-keys.ts'
import { testAuthority, testMember } from '../people.ts'
import { PacketSessions } from '../../../../src/identity/packets/packet-sessions.ts'

const authority = testAuthority()
const people = [0, 1].map((member) => {
  const { certificate, key } = testMember(authority, `host${member}`, `10.0.0.${member}`)
  return { certificate, key: key.privateKey }
})

/** What happens to members and to packets on their way; numbers choose among those there are. */
type Step =
  | { readonly kind: 'send' | 'deliver' | 'replay'; readonly at: number; readonly to: number }
  | { readonly kind: 'restart' | 'drop' | 'wait' | 'rotate'; readonly at: number }

const members = 2
/** Replays of what came last find more than those of anything. */
const maxReplayed = 8
const place = fc.nat(1000)
const move = (kind: 'send' | 'deliver' | 'replay', weight: number) => {
  return { weight, arbitrary: fc.record({ kind: fc.constant(kind), at: place, to: place }) }
}
const event = (kind: 'restart' | 'drop' | 'wait' | 'rotate', weight: number) => {
  return { weight, arbitrary: fc.record({ kind: fc.constant(kind), at: place }) }
}
const step: fc.Arbitrary<Step> = fc.oneof(
  move('send', 8),
  move('deliver', 14),
  move('replay', 10),
  event('restart', 1),
  event('drop', 1),
  event('wait', 6),
  event('rotate', 1),
)

class Model {
  readonly clock = new VirtualClock()
  readonly #under: { readonly packet: Uint8Array; readonly to: number }[] = []
  readonly #seen: { readonly packet: Uint8Array; readonly to: number }[] = []
  readonly delivered = new Map<string, number>()
  readonly #lives: PacketSessions[] = []
  #keys: GossipKeys = firstGossipKeys(new Uint8Array(32))
  #rotations = 0
  #sent = 0
  #starts = 0

  constructor() {
    for (let member = 0; member < members; member++) this.#start(member)
  }

  async run(step: Step): Promise<void> {
    const chosen = <T>(list: readonly T[]): T | undefined => list[step.at % list.length]
    if (step.kind === 'send') this.send(step.at % members, step.to % members)
    if (step.kind === 'restart') this.#start(step.at % members)
    if (step.kind === 'wait') await this.clock.advance(step.at % 400)
    if (step.kind === 'rotate') this.#rotate()
    if (step.kind === 'drop') this.#under.splice(step.at % (this.#under.length || 1), 1)
    if (step.kind === 'deliver') {
      const [next] = this.#under.splice(step.at % (this.#under.length || 1), 1)
      if (next !== undefined) this.#hand(next.packet, next.to)
    }
    const old = chosen(this.#seen.slice(-maxReplayed))
    if (step.kind === 'replay' && old !== undefined) this.#hand(old.packet, step.to % members)
  }

  send(from: number, to: number): string {
    const text = `${from} ${to} ${this.#sent++}`
    this.#lives[from]!.send(Buffer.from(text), { address: `10.0.0.${to}`, port: 7946 })
    return text
  }

  /** All that is under way arrives, in order. */
  settle(): void {
    for (let next = this.#under.shift(); next !== undefined; next = this.#under.shift())
      this.#hand(next.packet, next.to)
  }

  #hand(packet: Uint8Array, to: number): void {
    this.#seen.push({ packet, to })
    this.#lives[to]!.receive(packet, { address: '203.0.113.1', port: 1 }, 0)
  }

  #rotate(): void {
    const next = ['install', 'use', 'remove'][this.#rotations++ % 3]
    const key = new Uint8Array(32).fill(this.#rotations)
    if (next === 'install') this.#keys = installGossipKey(this.#keys, key)
    else this.#keys = next === 'use' ? useGossipKey(this.#keys) : removeGossipKeys(this.#keys)
  }

  #start(member: number): void {
    this.#lives[member] = new PacketSessions({
      clock: {
        now: () => this.clock.now(),
        wall: () => this.clock.now(),
        setTimeout: (fn, ms) => this.clock.setTimeout(fn, ms),
        clearTimeout: (timer) => this.clock.clearTimeout(timer),
      },
      random: seededRandom(this.#starts++),
      self: { address: `10.0.0.${member}`, port: 7946 },
      membership: () => ({ keys: this.#keys, ...people[member]! }),
      judge: (certificate, address) => certificate.address === address,
      send: (packet, to) => this.#under.push({ packet, to: Number(to.address.split('.')[3]) }),
      deliver: (plain, from) => {
        const text = Buffer.from(plain).toString()
        const [sender, receiver] = text.split(' ')
        expect(from.address, text).to.equal(`10.0.0.${sender}`)
        expect(String(member), text).to.equal(receiver)
        this.delivered.set(text, (this.delivered.get(text) ?? 0) + 1)
      },
      count: () => {},
    })
  }
}

describe('identity/packet-sessions, whatever happens', () => {
  it('deliver no packet twice, none to another, and all again once it is quiet', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 250 }), async (steps) => {
        const model = new Model()
        for (const each of steps) await model.run(each)
        for (const [text, times] of model.delivered) expect(times, text).to.equal(1)
        // Two members that have lost each other's session meet again within two packets.
        for (const [from, to] of [
          [0, 1],
          [1, 0],
        ] as const) {
          let text = ''
          for (let attempt = 0; attempt < 3; attempt++) {
            await model.clock.advance(6000)
            text = model.send(from, to)
            model.settle()
          }
          expect(model.delivered.get(text), text).to.equal(1)
        }
      }),
      { numRuns: 40 },
    )
  })
})
