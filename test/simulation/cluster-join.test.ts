import { expect } from 'chai'
import { Memberlist } from 'memberlist-js'
import { decodeMessage } from '../../src/cluster/wire/frames.ts'
import type { Ip } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import type { Vni } from '../../src/net/vni.ts'
import { type Host, World } from './support/world.ts'

/*
 * A member joins a cluster with 100,000 endpoints. Docker's own overlay sends its state whole and
 * hits a wall of 20 MiB there; ours comes in pieces, over one stream after another.
 */

const owners = 5
const endpoints = 100_000

function fill(world: World, host: Host, index: number, count = endpoints / owners): void {
  for (let i = 0; i < count; i++) {
    const serial = index * (endpoints / owners) + i
    const ip = `10.${100 + (serial >> 16)}.${(serial >> 8) & 255}.${serial & 255}` as Ip
    world.place(host, {
      kind: 'endpoint',
      vni: (5000 + (serial % 10)) as Vni,
      endpointId: serial.toString(16).padStart(16, '0'),
      ips: [ip],
      mac: macOfIp(ip),
      claimedAt: Math.floor(world.hosts[0]!.clock.wall() / 1000) - serial,
    })
  }
}

describe('simulation/cluster join', function () {
  this.timeout(0)

  it('brings 100,000 endpoints within 2 s and 3 MB', async () => {
    const world = new World({ seed: 1, hosts: owners + 1 })
    const joiner = world.hosts[owners]!
    for (const [i, host] of world.hosts.slice(0, owners).entries()) fill(world, host, i)
    for (const host of world.hosts.slice(0, owners)) await world.start(host, [world.hosts[0]!])
    await world.clock.advance(5000)
    expect(world.hosts[0]!.cluster!.status().records.visible).to.equal(endpoints * (1 - 1 / owners))

    const before = { ...world.links.sent }
    const start = world.clock.now()
    await world.start(joiner, [world.hosts[1]!])
    const told = (): boolean => joiner.believed.size === endpoints
    expect(await world.clock.advanceUntil(told, 10_000)).to.equal(true)
    const tookMs = world.clock.now() - start
    const bytes =
      world.links.sent.packetBytes +
      world.links.sent.streamBytes -
      before.packetBytes -
      before.streamBytes
    process.stdout.write(`    100,000 endpoints: ${Math.round(tookMs)} ms, ${bytes} bytes\n`)
    expect(tookMs).to.be.at.most(2000)
    expect(bytes).to.be.at.most(3_000_000)
    expect(joiner.cluster!.synced()).to.equal(true)
    expect(world.differences()).to.deep.equal([])
  })

  it('serves four joiners at a time, sends the others away, and all get everything', async () => {
    const joiners = 8
    const records = 6000
    const world = new World({ seed: 1, hosts: 1 + joiners })
    const [server, ...rest] = world.hosts
    fill(world, server!, 0, records)
    await world.start(server!, [])
    await world.clock.advance(2000)
    const sentAway = new Set<string>()
    const { gossip } = server!
    const send = gossip!.sendUnreliable.bind(gossip)
    gossip!.sendUnreliable = (member, bytes) => {
      const { frames } = decodeMessage(bytes)!
      if (frames.some((frame) => frame.kind === 'transfer' && frame.state === 'busy')) {
        sentAway.add(member)
      }
      send(member, bytes)
    }

    await Promise.all(rest.map((host) => world.start(host, [server!])))
    let most = 0
    const isDone = ({ believed, cluster }: Host): boolean =>
      believed.size === records && cluster!.synced()
    for (let ms = 0; ms < 2000 && !rest.every(isDone); ms++) {
      await world.clock.advance(1)
      most = Math.max(most, ...world.hosts.map(({ cluster }) => cluster!.status().transfers))
    }
    expect(rest.filter(isDone), 'in 2 s').to.have.length(joiners)
    expect(most, 'transfers at a time').to.equal(4)
    expect(sentAway.size, 'sent away').to.be.at.least(joiners - most)
    expect(world.differences()).to.deep.equal([])
  })

  it('and no record travels in an exchange of whole states, however full the cluster is', async () => {
    const world = new World({ seed: 1, hosts: 3 })
    await world.startAll()
    for (const host of world.hosts) for (let slot = 0; slot < 1000; slot++) world.put(host, slot)
    await world.clock.advance(30_000)
    expect(world.differences()).to.deep.equal([])

    const exchanged: number[] = []
    const spy = new Memberlist({
      name: 'spy',
      transport: world.memory.transport({ address: '10.9.9.9', port: 7946 }),
      label: 'simulation',
      delegateVersions: [16, 16, 16],
      clock: world.clock,
      random: world.random,
      delegate: {
        localState: () => Uint8Array.of(1),
        mergeState: (state) => void exchanged.push(state.length),
      },
    })
    spy.start()
    const joined = spy.join(world.hosts.map(({ address }) => address))
    // Twice as long as between two of the exchanges that everybody makes by itself.
    await world.clock.advance(60_000)
    expect((await joined).contacted).to.equal(3)
    expect(spy.numberOfMembers).to.equal(4)
    expect(exchanged, 'bytes of state beside the members').to.deep.equal([])
    await spy.close()
  })
})
