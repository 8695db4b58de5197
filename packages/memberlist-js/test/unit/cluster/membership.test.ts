import { expect } from 'chai'
import { isPresent, Memberlist } from 'memberlist-js'
import {
  bytes,
  Cluster,
  endpointOf,
  present,
  record,
  stateOf,
  text,
} from '../../support/cluster.ts'
import { SEED } from '../../support/seed.ts'
import { addressToBytes } from '../../../src/socket-address.ts'
import { versionsToBytes } from '../../../src/member.ts'
import { encodeMessage } from '../../../src/wire/messages.ts'
import { encodePushPull } from '../../../src/wire/stream-messages.ts'

describe(`a cluster (SEED=${SEED})`, () => {
  let cluster: Cluster

  beforeEach(() => {
    cluster = new Cluster(SEED)
  })
  afterEach(async () => await cluster[Symbol.asyncDispose]())

  it('comes together by joining one seed', async () => {
    const lists = await cluster.assemble(5)
    for (const list of lists) expect(present(list)).to.deep.equal(['m0', 'm1', 'm2', 'm3', 'm4'])
  })

  it('tells who joined, with meta, once', async () => {
    const first = cluster.add()
    const seen = record(first)
    cluster.add({ delegate: { meta: () => bytes('role=db') } })
    const { contacted, errors } = await cluster.run(
      cluster.lists[1]!.join(['10.0.0.1', '10.0.0.1']),
    )
    await cluster.clock.advance(2000)
    expect({ contacted, errors }).to.deep.equal({ contacted: 1, errors: [] })
    expect(seen).to.deep.equal(['join m1'])
    expect(text(first.members.get('m1')!.meta)).to.equal('role=db')
  })

  it('reports seeds that do not answer, and finds them when they appear', async () => {
    const list = cluster.add()
    const { contacted, errors } = await cluster.run(list.join(['10.0.0.2', '10.0.0.1']))
    expect(contacted).to.equal(0)
    expect(errors.map(({ message }) => message)).to.deep.equal([
      '10.0.0.2:7946: connect ECONNREFUSED 10.0.0.2:7946',
    ])
    cluster.add()
    await cluster.until(() => list.numberOfMembers === 2, 3000)
    expect(present(list)).to.deep.equal(['m0', 'm1'])
  })

  it('a seed that is cut off costs a join the TCP time-out, or ends with the signal', async () => {
    const list = cluster.add({ config: { tcpTimeoutMs: 2000 } })
    cluster.add()
    cluster.network.partition([[endpointOf(0)], [endpointOf(1)]])
    const { errors } = await cluster.run(list.join(['10.0.0.2']))
    expect(errors[0]).to.have.property('code', 'timed-out')

    const controller = new AbortController()
    const joining = list.join(['10.0.0.2'], { signal: controller.signal })
    controller.abort(new Error('enough'))
    const failure = await cluster.run(joining.catch((error: Error) => error.message))
    expect(failure).to.equal('enough')
  })

  it('a member that falls silent is suspected, then dead, for everybody', async () => {
    const lists = await cluster.assemble(5)
    const seen = record(lists[0]!)
    await lists[4]!.close()
    const gone = await cluster.until(() =>
      lists.slice(0, 4).every((list) => stateOf(list, 'm4') === 'dead'),
    )
    expect(gone).to.equal(true)
    expect(seen).to.deep.equal(['suspect m4', 'leave m4 failed'])
    expect(lists[0]!.numberOfMembers).to.equal(4)
  })

  it('the dead are forgotten in the end', async () => {
    const lists = await cluster.assemble(3)
    await lists[2]!.close()
    await cluster.clock.advance(60_000)
    expect([...lists[0]!.members.keys()].sort()).to.deep.equal(['m0', 'm1'])
  })

  it('a suspect that is alive refutes with a higher incarnation', async () => {
    const lists = await cluster.assemble(4)
    const seen = record(lists[0]!)
    cluster.stop(3)
    await cluster.until(() => stateOf(lists[0]!, 'm3') === 'suspect')
    cluster.resume(3)
    await cluster.until(() => stateOf(lists[0]!, 'm3') === 'alive', 3000)
    expect(seen).to.deep.equal(['suspect m3', 'refuted m3'])
    expect(lists[0]!.members.get('m3')!.incarnation).to.equal(2)
    expect(lists[3]!.local.incarnation).to.equal(2)
  })

  it('a goodbye is no failure, and a name that left can be taken up elsewhere', async () => {
    const lists = await cluster.assemble(4)
    const seen = record(lists[0]!)
    const started = cluster.clock.now()
    await cluster.run(lists[3]!.leave())
    expect(cluster.clock.now() - started).to.be.lessThan(2000)
    await lists[3]!.close()
    // Answers to pings carry the goodbye too, so not each of its few sendings reached somebody
    // else.
    await cluster.until(() => seen.length > 0, 1000)
    expect(seen).to.deep.equal(['leave m3 left'])

    const heir = cluster.add({ name: 'm3' })
    await cluster.run(heir.join(['10.0.0.1']))
    await cluster.until(() => present(lists[1]!).includes('m3'), 3000)
    expect(lists[1]!.members.get('m3')!.address).to.equal('10.0.0.5')
  })

  it('a member that restarts while it is remembered takes a higher incarnation', async () => {
    const lists = await cluster.assemble(3)
    cluster.stop(2)
    await cluster.until(() => stateOf(lists[0]!, 'm2') === 'suspect')
    cluster.resume(2)
    await cluster.until(() => lists[0]!.members.get('m2')!.incarnation > 1)
    await cluster.run(lists[2]!.leave())
    await lists[2]!.close()

    const again = cluster.add({ name: 'm2', transport: cluster.network.transport(endpointOf(2)) })
    expect(again.local.incarnation).to.equal(1)
    await cluster.run(again.join(['10.0.0.1']))
    await cluster.until(() => stateOf(lists[1]!, 'm2') === 'alive', 3000)
    expect(again.local.incarnation).to.be.greaterThan(2)
  })

  it('a live name is not given to another address', async () => {
    const lists = await cluster.assemble(3)
    const seen = record(lists[0]!)
    const impostor = cluster.add({ name: 'm2' })
    await cluster.run(impostor.join(['10.0.0.1']))
    await cluster.clock.advance(2000)
    expect(seen).to.include('conflict m2')
    expect(lists[0]!.members.get('m2')!.address).to.equal('10.0.0.3')
  })

  it('a live member is at another address for all where the application says so', async () => {
    const lists = await cluster.assemble(4)
    const isOther = (i: number): boolean => i !== 2
    const updates = record(lists[0]!)
    for (const list of lists.filter((_, i) => isOther(i)))
      list.on('conflict', (_, claimant) => {
        if (claimant.address === '10.0.0.5') list.acceptMove(claimant)
      })
    await lists[2]!.close()
    const moved = cluster.add({ name: 'm2' })
    await cluster.run(moved.join(['10.0.0.1']))
    await cluster.clock.advance(10_000)
    for (const list of [moved, ...lists.filter((_, i) => isOther(i))]) {
      expect(list.members.get('m2')).to.include({ address: '10.0.0.5', state: 'alive' })
      expect(stateOf(list, 'm0')).to.equal('alive')
    }
    // What was said of it at the old address is overruled.
    expect(moved.local.incarnation).to.be.greaterThan(1)
    expect(updates.filter((event) => event === 'update m2')).to.have.length(1)
    expect(updates).to.not.include('leave m2 failed')
  })

  it('the name of the long dead is given away where that is configured', async () => {
    const config = { deadMemberReclaimMs: 1000, gossipToTheDeadMs: 3_600_000 }
    const lists = await cluster.assemble(3, { config })
    await lists[2]!.close()
    await cluster.until(() => stateOf(lists[0]!, 'm2') === 'dead')
    await cluster.clock.advance(1500)
    const heir = cluster.add({ name: 'm2', config })
    await cluster.run(heir.join(['10.0.0.1']))
    await cluster.until(() => stateOf(lists[0]!, 'm2') === 'alive', 3000)
    expect(lists[0]!.members.get('m2')!.address).to.equal('10.0.0.4')
  })

  it('new meta reaches all as an update', async () => {
    let meta = 'a'
    const lists = await cluster.assemble(4, { delegate: { meta: () => bytes(meta) } })
    const seen = record(lists[3]!)
    meta = 'b'
    await cluster.run(lists[0]!.updateMeta())
    await cluster.clock.advance(1000)
    expect(lists.map((list) => text(list.members.get('m0')!.meta))).to.deep.equal([
      'b',
      'b',
      'b',
      'b',
    ])
    expect(seen).to.deep.equal(['update m0'])
  })

  it('alone, changing meta, broadcasting and leaving wait for nobody', async () => {
    const list = cluster.add()
    await cluster.run(list.updateMeta(), 100)
    await cluster.run(list.broadcast(bytes('x')), 100)
    await cluster.run(list.leave(), 100)
  })

  it('after a partition both sides find each other, also when the dead are forgotten', async () => {
    for (const cut of [20_000, 120_000]) {
      const config = { probeIntervalMs: 500, probeTimeoutMs: 200, suspicionMult: 3 }
      await using own = new Cluster(SEED)
      const lists = await own.assemble(6, { config })
      own.network.partition([[0, 1].map(endpointOf), [2, 3, 4, 5].map(endpointOf)])
      await own.clock.advance(cut)
      expect(lists.map((list) => list.numberOfMembers)).to.deep.equal([2, 2, 4, 4, 4, 4])
      own.network.heal()
      const whole = await own.until(() => lists.every((list) => list.numberOfMembers === 6), 4000)
      expect(whole, `after ${cut} ms`).to.equal(true)
    }
  })

  it('an own death that others believe is refuted on contact', async () => {
    const lists = await cluster.assemble(2)
    cluster.network.partition([[endpointOf(0)], [endpointOf(1)]])
    await cluster.until(() => lists.every((list) => list.numberOfMembers === 1))
    cluster.network.heal()
    await cluster.until(() => lists.every((list) => list.numberOfMembers === 2), 3000)
    expect(lists.map((list) => [...list.members.values()].every(isPresent))).to.deep.equal([
      true,
      true,
    ])
  })

  it('what another holds for dead is only suspected here, so that it can refute', async () => {
    const lists = await cluster.assemble(3)
    const seen = record(lists[0]!)
    const outsider = cluster.network.transport({ address: '10.9.9.9', port: 1 })
    const { name, address, port, versions, incarnation } = lists[1]!.local
    const node = { name, addr: addressToBytes(address), port, meta: null, incarnation }
    const dead = { ...node, state: 2, vsn: versionsToBytes(versions) }
    const { signal } = new AbortController()
    const stream = await cluster.run(outsider.dial(endpointOf(0), { signal }))
    await stream.write(encodePushPull({ join: false, nodes: [dead], userState: new Uint8Array() }))
    await cluster.clock.advance(2000)
    expect(seen).to.deep.equal(['suspect m1', 'refuted m1'])
  })

  it('a member of another version range is not taken from gossip either', async () => {
    const list = cluster.add()
    const outsider = cluster.network.transport({ address: '10.9.9.9', port: 1 })
    const place = { node: 'odd', addr: Uint8Array.of(10, 9, 9, 9), port: 1, incarnation: 1 }
    const tell = (vsn: Uint8Array | null) => {
      const body = { ...place, meta: null, vsn }
      outsider.send(encodeMessage({ type: 'alive', body }), endpointOf(0))
    }
    tell(Uint8Array.of(1, 5, 2, 0, 0, 0))
    tell(Uint8Array.of(1, 5, 2))
    tell(null)
    await cluster.clock.advance(100)
    expect([...list.members.keys()]).to.deep.equal(['m0'])
    expect(list.counters['alive-incompatible']).to.equal(3)
    tell(Uint8Array.of(1, 5, 2, 2, 5, 5))
    await cluster.clock.advance(100)
    expect([...list.members.keys()]).to.deep.equal(['m0', 'odd'])
  })

  it('may have a name of 255 bytes', async () => {
    const names = ['a', 'b'].map((letter) => letter.repeat(255))
    for (const name of names) cluster.add({ name })
    await cluster.run(cluster.joinFirst())
    for (const list of cluster.lists) expect([...list.members.keys()].sort()).to.deep.equal(names)
  })

  it('does not take more members than configured', async () => {
    const list = cluster.add({ config: { maxMembers: 3 } })
    for (let i = 0; i < 4; i++) cluster.add()
    await cluster.run(cluster.joinFirst())
    expect(list.members.size).to.equal(3)
    expect(list.counters).to.have.property('alive-too-many-members')
  })

  it('is started once, and not used after the end', async () => {
    const list = cluster.add()
    expect(() => list.start())
      .to.throw()
      .with.property('code', 'not-running')
    await list.close()
    await list.close()
    const failure = await list.broadcast(bytes('x')).catch((error: unknown) => error)
    expect(failure).to.have.property('code', 'not-running')
    const unstarted = new Memberlist({
      name: 'x',
      transport: cluster.network.transport(endpointOf(9)),
    })
    expect(() => unstarted.local)
      .to.throw()
      .with.property('code', 'not-running')
    await unstarted.close()
  })
})
