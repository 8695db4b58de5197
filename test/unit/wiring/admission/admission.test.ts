import { expect } from 'chai'
import { Memberlist, seededRandom } from 'memberlist-js'
import { AgreedState } from '../../../../src/consensus/state/agreed-state.ts'
import { parseJoinToken } from '../../../../src/identity/enrolment/join-token.ts'
import { type IdentityStore, MemberIdentity } from '../../../../src/identity/member-identity.ts'
import { SealedTransport } from '../../../../src/identity/sealed-transport.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { Admission } from '../../../../src/wiring/admission/admission.ts'
import { AdmissionSection } from '../../../../src/wiring/admission/admission-section.ts'
import { decode, encode } from '../../../support/agreed-machine.ts'
import { Findings } from '../../../../src/base/findings.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { JoinToken } from '../../../../src/identity/enrolment/join-token.ts'
import type { Endpoint } from '../../../../src/identity/streams/transport.ts'
import {
  type HostParts,
  foundingStepMs,
  obtainStanding,
} from '../../../../src/wiring/admission/standing.ts'
import { VirtualWorld } from '../../identity/virtual-world.ts'

const minuteMs = 60_000
const rotationMs = 4 * minuteMs

function memoryStore(): IdentityStore {
  const rows = new Map<string, unknown>()
  return {
    get: (key) => rows.get(key),
    write: async (changes) => {
      for (const { key, value } of changes) rows.set(key, JSON.parse(JSON.stringify(value)))
    },
  }
}

/** Hosts that gossip over sealed transports. The first holds the agreed state, and leads. */
class Hosts extends VirtualWorld {
  section!: AdmissionSection
  readonly #state = new AgreedState((members) => {
    this.section = new AdmissionSection(members)
    return { admission: this.section }
  })
  #index = 0
  readonly alive = new Set<string>()
  readonly closing: (() => Promise<void>)[] = []

  run(from: string, op: string, fields: object): unknown {
    return decode(this.#apply(encode({ op, ...fields }), from))
  }

  async host(
    number: number,
    {
      store = memoryStore(),
      token = null,
      join = [],
    }: { store?: IdentityStore; token?: JoinToken | null; join?: readonly Endpoint[] } = {},
  ) {
    const name = `host${number}`
    const inner = this.at(number)
    const identity = await MemberIdentity.load(store)
    const random = seededRandom(number)
    const clock = this.clock()
    const findings = new Findings(clock, silentLogger).room('identity')
    const parts: HostParts = {
      clock,
      random,
      identity,
      name,
      address: `10.0.0.${number}` as Ip,
      token,
      seeds: async () => join.map((seed) => [seed]),
      dial: (to, signal) => inner.dial(to, { signal }),
      port: inner.advertise.port,
      memberAt: async () => null,
      atFormer: null,
    }
    const admission = new Admission({
      ...parts,
      consensus: {
        submit: async (command) => this.#apply(command, name),
        query: async (question) => this.#state.query(question),
        isLeader: () => number === 1,
      },
      section: this.section,
      voters: () => ['10.0.0.1:7946'],
      rotationMs,
      members: () => ['10.0.0.1', '10.0.0.2:7947'],
      known: () => [],
      isAlive: (member) => this.alive.has(member),
      findings,
      logger: silentLogger,
      startedMs: clock.now(),
      onMember: () => {},
    })
    const counts: string[] = []
    const notes: string[] = []
    const transport = new SealedTransport({
      inner,
      clock,
      random,
      membership: () => {
        if (identity.standing === null) return null
        const { evicted, ...standing } = identity.standing
        const { privateKey: key } = identity.key
        return { ...standing, name, key, isEvicted: (id) => evicted.has(id) }
      },
      enrol: (stream) => admission.serve(stream),
      evicted: () => admission.maybeEvicted(),
      note: (who, what, text) => notes.push(`${who} ${what}: ${text}`),
      count: (what) => counts.push(what),
    })
    /** Begins to gossip, as a member that is registered. */
    const start = (): Memberlist => {
      const list = new Memberlist({ name, transport, clock, random, config: 'lan' })
      list.start()
      admission.start()
      this.run(name, 'renew', { id: identity.id })
      this.alive.add(name)
      this.closing.push(async () => {
        admission.stop()
        await list.close()
      })
      return list
    }
    const told = () => findings.list().map(({ text }) => text)
    return { name, identity, parts, admission, told, counts, notes, start, at: inner.advertise }
  }

  /** Lets time pass in small steps, since timers are set by work that is not virtual. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) await this.advance(250)
  }

  #apply(command: Uint8Array, from: string): Uint8Array {
    const timeMs = this.clock().wall()
    return this.#state.apply(command, { index: ++this.#index, timeMs, version: 1, from })
  }
}

function states(list: Memberlist): string {
  return Array.from(list.members.values(), ({ name, state }) => `${name} ${state}`)
    .sort()
    .join()
}

describe('wiring/admission', () => {
  const started: Hosts[] = []
  afterEach(async () => {
    for (const hosts of started.splice(0))
      for (const close of hosts.closing) await hosts.during(close())
  })

  /** A cluster of three: the third joined by the second, which admits nobody itself. */
  async function three() {
    const hosts = new Hosts()
    started.push(hosts)
    const one = await hosts.host(1)
    await obtainStanding(one.parts, 0)
    const lists = [one.start()]
    await hosts.pass(minuteMs)
    const line = await one.admission.invite()
    const text = line.split('TOKEN=')[1]!
    const token = parseJoinToken(text)
    if (!('value' in token)) expect.fail(token.reason)
    const others = []
    for (const [number, seed] of [
      [2, one.at],
      [3, { address: '10.0.0.2', port: 7946 }],
    ] as const) {
      const other = await hosts.host(number, { token: token.value, join: [seed] })
      expect(await hosts.during(obtainStanding(other.parts, 0))).to.equal(null)
      const list = other.start()
      expect((await hosts.during(list.join(['10.0.0.1']))).contacted).to.equal(1)
      lists.push(list)
      others.push(other)
    }
    await hosts.pass(5000)
    return { hosts, one, two: others[0]!, three: others[1]!, lists, text }
  }

  it('invites within limits, and ends other tokens', async () => {
    const { hosts, one, text } = await three()
    const line = await one.admission.invite({
      validMs: minuteMs,
      uses: 1,
      rotate: true,
      settings: { POOLS: '10.0.0.0/9:24 10.128.0.0/9:24' },
    })
    expect(line).to.match(
      /^docker plugin install ts-overlay\/ts-overlay JOIN=10\.0\.0\.1,10\.0\.0\.2:7947 TOKEN=TSO-1-[-0-9a-f]+ POOLS='10\.0/,
    )
    const tokenOf = (given: string) => {
      const parsed = parseJoinToken(/TSO-1-[-0-9a-f]+/.exec(given)![0])
      if (!('value' in parsed)) expect.fail(parsed.reason)
      return parsed.value
    }
    const join = async (number: number, token: JoinToken) => {
      const host = await hosts.host(number, { token, join: [one.at] })
      return (await hosts.during(obtainStanding(host.parts, 0)))?.reason
    }
    expect(await join(4, tokenOf(text))).to.match(/no such token/)
    expect(await join(5, tokenOf(line))).to.equal(undefined)
    expect(await join(6, tokenOf(line))).to.match(/used up/)
    await hosts.pass(2 * minuteMs)
    expect(await join(7, tokenOf(line))).to.match(/expired/)
  })

  it('replaces a gossip key that leaked, by hand', async () => {
    const { hosts, one, two } = await three()
    const leaked = one.identity.standing!.keys.keys.map(({ key }) =>
      Buffer.from(key).toString('hex'),
    )
    await two.admission.rotateKeys()
    await hosts.pass(7 * minuteMs)
    for (const { identity } of [one, two])
      for (const { key } of identity.standing!.keys.keys)
        expect(leaked).to.not.include(Buffer.from(key).toString('hex'))
  }).timeout(30_000)

  it('founds, invites, and enrols by any member', async () => {
    const { hosts, one, lists, text } = await three()
    const all = 'host1 alive,host2 alive,host3 alive'
    expect(lists.map(states)).to.deep.equal([all, all, all])
    expect(text).to.include(`TSO-1-`)
    expect(hosts.section.authorityState([])!.pem).to.equal(one.identity.standing!.authorityPem)
    expect(one.identity.kept('founding')).to.equal(null)
  })

  it('rotates the keys without losing a packet or a member', async () => {
    const { hosts, one, two, three: third, lists } = await three()
    const members = [one, two, third]
    let suspicions = 0
    for (const list of lists) list.on('suspect', () => suspicions++)
    for (const { counts } of members) counts.length = 0
    await hosts.pass(15 * minuteMs)
    const epochs = members.map(({ identity }) => identity.standing!.keys.current)
    expect(Math.min(...epochs)).to.be.greaterThan(2)
    expect(suspicions).to.equal(0)
    expect(members.flatMap(({ counts }) => counts)).to.deep.equal([])
    expect(members.flatMap(({ told }) => told())).to.deep.equal([])
  }).timeout(30_000)

  it('takes no key away before all have the next, also when wall clocks jump by days', async () => {
    const { hosts, one, two, three: third } = await three()
    await hosts.pass(minuteMs)
    const before = one.identity.standing!.keys.current
    third.admission.stop()
    for (let passed = 0; passed < 6 * minuteMs; passed += 250) {
      if (passed < 60_000 && passed % 10_000 === 0) hosts.jumpMs += 5 * 24 * 60 * minuteMs
      if (passed === 75_000) third.admission.start()
      await hosts.advance(250)
      const { keys } = hosts.section.authorityState([])!.keys
      for (const { identity } of [one, two, third]) {
        const had = identity.standing!.keys.keys.map(({ epoch }) => epoch)
        expect(keys.some(({ epoch }) => had.includes(epoch))).to.equal(true)
      }
    }
    expect(one.identity.standing!.keys.current).to.be.above(before)
  }).timeout(30_000)

  it('shuts an evicted member out, from streams at once and from packets with the next key', async () => {
    const { hosts, two, three: third, lists } = await three()
    const former = third.identity.id
    hosts.run('host1', 'removeTokens', { ids: [] })
    hosts.run('host1', 'evict', { ids: [former], lapsedMs: null })
    await hosts.pass(8 * minuteMs)
    const alive = (list: Memberlist) =>
      states(list)
        .split(',')
        .filter((each) => each.endsWith(' alive'))
    expect(alive(lists[0]!)).to.deep.equal(['host1 alive', 'host2 alive'])
    expect(alive(lists[1]!)).to.deep.equal(['host1 alive', 'host2 alive'])
    expect(third.told().join()).to.match(/it was evicted; .*has no such token/)
    expect(third.identity.id).to.equal(former)
    const epochs = two.identity.standing!.keys.keys.map(({ epoch }) => epoch)
    expect(Math.min(...epochs)).to.be.greaterThan(1)
    expect(third.identity.standing!.keys.current).to.equal(1)
    expect(two.notes.join()).to.match(/host3.* was evicted/)
  }).timeout(30_000)

  it('takes an evicted host back that has a token, with another key', async () => {
    const { hosts, three: third, lists } = await three()
    const former = third.identity.id
    hosts.alive.delete('host3')
    hosts.run('host1', 'evict', { ids: [former], lapsedMs: null })
    await hosts.pass(2 * minuteMs)
    expect(third.identity.id).to.not.equal(former)
    expect(third.told()).to.deep.equal([])
    await hosts.pass(2 * minuteMs)
    expect(states(lists[0]!)).to.equal('host1 alive,host2 alive,host3 alive')
    expect(hosts.section.authorityState([])!.evicted).to.deep.equal([former])
  }).timeout(30_000)

  it('says what a host lacks: a token, one that holds, or a member that answers', async () => {
    const { hosts, one, text } = await three()
    const four = await hosts.host(4)
    const told = async (given: string | null, seed = one.at) => {
      const parsed = given === null ? null : parseJoinToken(given)
      const token = parsed !== null && 'value' in parsed ? parsed.value : null
      const parts = { ...four.parts, token, seeds: async () => [[seed]] }
      const obtaining = obtainStanding(parts, 0)
      return await hosts.during(obtaining.catch((error: Error) => error.message))
    }
    expect(await told(null)).to.match(/JOIN needs TOKEN: .*invite/)
    const wrong = await told(`${text.slice(0, -1)}${text.endsWith('0') ? '1' : '0'}`)
    expect(wrong).to.have.property('isRefused', true)
    expect(wrong)
      .to.have.property('reason')
      .that.matches(/10\.0\.0\.1:7946 refuses this host: host4: the cluster has no such token/)
    const away = await told(text, { address: '10.0.0.77', port: 7946 })
    expect(away).to.have.property('isRefused', false)
    expect(away)
      .to.have.property('reason')
      .that.matches(/ECONNREFUSED/)
    expect(await told(text)).to.equal(null)
  })

  describe('hosts with one JOIN list and a token that was chosen beforehand', () => {
    const token = { authority: null, secret: '0123456789abcdef0123456789abcdef' }
    const join = [1, 2, 3].map((n) => ({ address: `10.0.0.${n}`, port: 7946 }))
    const attempt = async (number: number, waitedMs: number) => {
      const hosts = new Hosts()
      started.push(hosts)
      const host = await hosts.host(number, { token, join })
      const obtained = await hosts.during(obtainStanding(host.parts, waitedMs))
      return { obtained, isFounder: host.identity.kept('founding') !== null }
    }

    it('found: the first at once, each further one later, others never', async () => {
      const table = [
        [1, 0, true],
        [2, 0, false],
        [2, foundingStepMs, true],
        [3, foundingStepMs, false],
        [3, 2 * foundingStepMs, true],
        [4, 60_000, false],
      ] as const
      for (const [number, waitedMs, isFounder] of table)
        expect(await attempt(number, waitedMs), `${number} ${waitedMs}`).to.have.property(
          'isFounder',
          isFounder,
        )
    })

    it('join when a member answers, also the first', async () => {
      const hosts = new Hosts()
      started.push(hosts)
      const one = await hosts.host(1, { token })
      await obtainStanding(one.parts, 0)
      one.start()
      const two = await hosts.host(2, {
        token,
        join: [{ address: '10.0.0.2', port: 7946 }, one.at],
      })
      const before = await hosts.during(obtainStanding(two.parts, 60_000))
      expect(before).to.deep.include({ isRefused: false })
      expect(two.identity.kept('founding')).to.equal(null)
      await hosts.pass(minuteMs)
      expect(await hosts.during(obtainStanding(two.parts, 0))).to.equal(null)
      expect(two.identity.standing!.authorityPem).to.equal(one.identity.standing!.authorityPem)
    })
  })

  it('goes on with its founding after a crash before it was agreed on', async () => {
    const hosts = new Hosts()
    started.push(hosts)
    const store = memoryStore()
    const first = await hosts.host(1, { store })
    await obtainStanding(first.parts, 0)
    const { authorityPem } = first.identity.standing!
    const again = new Hosts()
    started.push(again)
    const second = await again.host(1, { store })
    expect(second.identity.standing!.authorityPem).to.equal(authorityPem)
    second.start()
    await again.pass(minuteMs)
    expect(again.section.authorityState([])!.pem).to.equal(authorityPem)
  })
})
