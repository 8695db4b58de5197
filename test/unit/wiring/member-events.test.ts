import { expect } from 'chai'
import { createLogger } from '../../../src/base/logger.ts'
import type { MemberView } from '../../../src/cluster/members/member-table.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { MemberEvents, joinText } from '../../../src/wiring/member-events.ts'

type State = MemberView['state']

/** A member's events, with a cluster, states and a clock that the test sets. */
class Fixture {
  readonly #log = createLogger(() => {})
  readonly #members = new Map<string, MemberView>()
  readonly events: MemberEvents
  clusterId = ''
  #told = 0
  synced = true
  nowMs = 0

  constructor(joinText = 'no JOIN: ') {
    this.events = new MemberEvents({
      logger: this.#log.logger,
      isSynced: () => this.synced,
      clusterId: () => this.clusterId,
      members: () => [...this.#members.values()],
      joinText,
    })
    this.#put('self', 'alive', true)
  }

  set(name: string, state: State): void {
    this.#put(name, state, false)
    this.events.changed()
  }

  /** Those since the last call, as `kind: text`. */
  happened(): string[] {
    const events = this.#log.events.slice(this.#told)
    this.#told += events.length
    return events.map(({ event, message }) => `${event}: ${message}`)
  }

  #put(name: string, state: State, self: boolean): void {
    const common = { address: '192.0.2.1' as Ip, seed: '' }
    this.#members.set(name, { name, state, self, sinceMs: this.nowMs, ...common })
  }
}

describe('wiring/member-events', () => {
  it('tells which cluster this host is in, once', () => {
    const first = new Fixture()
    first.events.started()
    first.clusterId = 'c1'
    first.events.changed()
    first.events.changed()
    expect(first.happened()).to.deep.equal(['cluster-joined: no JOIN: founded cluster c1'])

    const second = new Fixture('')
    second.events.started()
    second.clusterId = 'c1'
    second.synced = false
    second.set('one', 'alive')
    second.set('gone', 'dead')
    expect(second.happened()).to.deep.equal([])
    second.synced = true
    second.events.changed()
    expect(second.happened()).to.deep.equal(['cluster-joined: joined cluster c1 with 2 members'])

    const again = new Fixture()
    again.clusterId = 'c1'
    again.events.started()
    again.events.changed()
    expect(again.happened()).to.deep.equal(['cluster-joined: back in cluster c1 with 1 member'])
  })

  it('tells who joins, dies, returns and leaves, and after how long; suspicion is not told', () => {
    const host = new Fixture()
    host.clusterId = 'c1'
    host.events.changed()
    host.happened()
    host.set('two', 'alive')
    host.nowMs = 10_000
    host.set('two', 'suspect')
    host.set('two', 'alive')
    host.nowMs = 3 * 3_600_000
    host.set('two', 'suspect')
    host.set('two', 'dead')
    host.set('two', 'dead')
    host.nowMs += 45_000
    host.set('two', 'alive')
    host.nowMs += 120_000
    host.set('two', 'left')
    host.set('two', 'alive')
    host.set('old', 'dead')
    expect(host.happened()).to.deep.equal([
      'member-joined: two joined',
      'member-dead: two does not answer any more, after 3 h',
      'member-back: two is back, after 45 s',
      'member-left: two left, after 2 min',
      'member-joined: two joined',
    ])
  })
})

describe('the text of JOIN', () => {
  const host = { vtep: '192.0.2.1', member: 'host3-fc9d0ea4' }
  const six = { vtep: 'fd00::1', member: 'host3-fc9d0ea4' }

  it('says when it names only this host, by address, loopback or host name', () => {
    for (const seed of [
      '192.0.2.1',
      '192.0.2.1:7946',
      '127.0.0.1',
      '127.1.2.3:7946',
      '::1',
      '[::1]:7946',
      'localhost',
      'LOCALHOST:7946',
      'host3',
      'host3:7946',
      'host3-fc9d0ea4',
    ])
      expect(joinText({ ...host, seeds: [seed] }), seed).to.equal('JOIN names only this host: ')
    for (const seed of ['fd00::1', '[fd00::1]', '[fd00::1]:7946'])
      expect(joinText({ ...six, seeds: [seed] }), seed).to.equal('JOIN names only this host: ')
    const both = { ...host, seeds: ['192.0.2.1', 'localhost'] }
    expect(joinText(both)).to.equal('JOIN names only this host: ')
  })

  it('says nothing when it names another, and that there is none', () => {
    for (const seed of ['192.0.2.2', '192.0.2.10:7946', 'host30', 'host3.example.org', '[fd00::1]'])
      expect(joinText({ ...host, seeds: ['192.0.2.1', seed] }), seed).to.equal('')
    expect(joinText({ ...six, seeds: ['fd00::2'] })).to.equal('')
    expect(joinText({ ...host, seeds: [] })).to.equal('no JOIN: ')
  })
})
