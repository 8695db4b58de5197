import { expect } from 'chai'
import { lan, seededRandom, VirtualClock, type Member } from 'memberlist-js'
import { Awareness } from '../../../../src/core/probing/awareness.ts'
import type { Membership } from '../../../../src/core/membership/membership.ts'
import type { Messenger } from '../../../../src/core/messaging/messenger.ts'
import { PendingPings } from '../../../../src/core/probing/pending-pings.ts'
import { Prober } from '../../../../src/core/probing/prober.ts'
import { Roster } from '../../../../src/core/membership/roster.ts'
import { versionsFromBytes } from '../../../../src/member.ts'
import type { Message } from '../../../../src/wire/messages.ts'
import { endpointOf } from '../../../support/cluster.ts'
import { SEED } from '../../../support/seed.ts'

function memberAt(index: number): Member {
  const versions = versionsFromBytes(null)
  const rest = {
    meta: new Uint8Array(),
    versions,
    incarnation: 1,
    state: 'alive',
    since: 0,
  } as const
  return { name: `m${index}`, ...endpointOf(index), ...rest }
}

/**
 * m0 probes m1 and m2 once a second, in ill health by `score`, which stays as it is. Those answer
 * that are in `answering`, after 1 ms. Returns when probes began.
 */
function prober(score: number, answering: ReadonlySet<string>) {
  const clock = new VirtualClock()
  const random = seededRandom(SEED)
  const roster = new Roster(random)
  const pings = new PendingPings(random)
  const began: number[] = []
  const accused: number[] = []
  for (let i = 0; i < 3; i++) roster.set(memberAt(i))
  const awareness = new Awareness(8, () => undefined)
  awareness.adjust(score)
  awareness.adjust = () => undefined
  const messenger = {
    send: ({ type, body }: Message, to: Member) => {
      if (type !== 'ping') return
      began.push(clock.now())
      const answer = () =>
        pings.ack((body as { seqNo: number }).seqNo, new Uint8Array(), clock.now())
      if (answering.has(to.name)) clock.setTimeout(() => void answer(), 1)
    },
  }
  const membership = {
    self: memberAt(0),
    couldConfirm: () => false,
    accuse: () => void accused.push(clock.now()),
  }
  const parts = {
    config: lan,
    clock,
    random,
    roster,
    pings,
    awareness,
    self: () => memberAt(0),
    messenger: messenger as unknown as Messenger,
    membership: membership as unknown as Membership,
    helpers: () => [],
    tcpPing: async () => false,
    onRtt: () => undefined,
    count: () => undefined,
  }
  new Prober(parts).start()
  return { clock, began, accused, awareness }
}

const gaps = (times: readonly number[]) => times.slice(1).map((at, i) => Math.round(at - times[i]!))

describe(`probes one after the other (SEED=${SEED})`, () => {
  it('begin once per interval while all answer', async () => {
    const { clock, began } = prober(0, new Set(['m1', 'm2']))
    await clock.advance(10_000)
    expect(new Set(gaps(began))).to.deep.equal(new Set([1000]))
  })

  it('wait for an answer as many times longer as our health is bad', async () => {
    for (const score of [0, 1, 3]) {
      const { clock, began, accused } = prober(score, new Set())
      await clock.advance(30_000)
      const wait = 1000 * (score + 1)
      expect(new Set(gaps(began)), `health ${score}`).to.deep.equal(new Set([wait]))
      expect(Math.round(accused[0]! - began[0]!)).to.equal(wait)
    }
  })

  it('are made up for once when one took longer than the interval', async () => {
    const answering = new Set<string>()
    const { clock, began, awareness } = prober(0, answering)
    awareness.scale = () => 3500
    await clock.advance(2000)
    for (const name of ['m1', 'm2']) answering.add(name)
    await clock.advance(6000)
    // Three ticks fell due during the first probe; one is made up for at once, and then all is as
    // ever.
    expect(gaps(began).slice(0, 4)).to.deep.equal([3500, 500, 1000, 1000])
  })
})
