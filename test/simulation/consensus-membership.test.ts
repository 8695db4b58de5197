import { expect } from 'chai'
import type { Host } from './consensus/host.ts'
import { ConsensusWorld } from './consensus/world.ts'
import { encodeOperation } from './raft/register-map.ts'

/** Hosts of one cluster, which the first founds. */
function worldOf(seed: number, names: readonly string[]): ConsensusWorld {
  const world = new ConsensusWorld(seed)
  addTo(world, names)
  return world
}

function addTo(world: ConsensusWorld, names: readonly string[]): void {
  for (const host of world.add(...names)) host.founds = host.name === names[0]
}

const clustersIn = (world: ConsensusWorld): Set<string> =>
  new Set(world.running.map(({ consensus }) => consensus!.status().clusterId))

async function settled(world: ConsensusWorld, voters: number): Promise<void> {
  await world.until(
    `one cluster with ${voters} voters`,
    () => clustersIn(world).size === 1 && world.voters().length === voters,
    180_000,
  )
}

const five = ['h0', 'h1', 'h2', 'h3', 'h4']

describe('founding', () => {
  it('is done once by the founder of the authority; the others join, whenever they start', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const world = worldOf(seed, five)
      for (const host of world.hosts.values()) host.start()
      await settled(world, 5)
      const founders = [...world.hosts.values()].filter(({ clusters }) => clusters.length > 0)
      expect(founders.every(({ clusters }) => clusters.length === 1)).to.equal(true)
    }
  })
})

describe('voters', () => {
  it('are replaced when one is dead for good and a spare is there', async () => {
    const world = worldOf(2, ['h0', 'h1', 'h2', 'h3'])
    for (const host of world.hosts.values()) {
      host.voters = 3
      host.start()
    }
    await settled(world, 3)
    const victim = world.voters().find((name) => world.leader!.name !== name)!
    world.host(victim).crash()
    const isReplaced = (): boolean =>
      world.voters().length === 3 && !world.voters().includes(victim)
    await world.until('another votes in its place', isReplaced, 60_000)
  })

  it('have a new leader soon after theirs stops in good order, and lose one that leaves', async () => {
    const world = worldOf(3, five)
    for (const host of world.hosts.values()) host.start()
    await settled(world, 5)
    const first = world.leader!
    const startedMs = world.clock.now()
    void first.stop(false)
    await world.until('another leads', () => world.leader !== undefined && world.leader !== first)
    expect(world.clock.now() - startedMs).to.be.below(1000)
    first.start()
    await world.clock.advance(3000)
    const second = world.leader!
    void second.stop(true)
    world.leaves(second.name)
    await world.until('it votes no more', () => {
      const voters = world.voters()
      return voters.length > 0 && !voters.includes(second.name)
    })
  })

  it('are not given up by one that leaves a moment after two others lost their disks', async () => {
    const world = worldOf(29, five)
    for (const host of world.hosts.values()) host.start()
    await settled(world, 5)
    const lead = world.leader!
    const [a, b, leaver, rest] = five.filter((name) => name !== lead.name)
    await world.clock.advance(1000)
    for (const name of [a!, b!]) world.host(name).loseDisk()
    await world.clock.advance(600)
    const stopped = world.host(leaver!).stop(true)
    await world.clock.advance(4000)
    await stopped
    world.host(leaver!).start()
    await world.clock.advance(6000)
    const leading = world.leader?.name
    expect(leading, 'a leader of the three that are left').to.be.oneOf([lead.name, leaver, rest])
    const { voters } = world.leader!.consensus!.status()
    expect(voters).to.include.members([lead.name, leaver!, rest!])
  })
})

describe('a client', () => {
  it('learns of new voters from the answer to its command', async () => {
    const world = worldOf(3, [...five, 'h5', 'h6'])
    for (const host of world.hosts.values()) host.start()
    await settled(world, 5)
    const before = world.voters()
    world.running.find((host) => host !== world.leader && before.includes(host.name))!.crash()
    const isNew = (name: string): boolean => !before.includes(name)
    await world.until('another votes', () => world.voters().some(isNew))
    const client = world.running.find(({ name }) => !world.voters().includes(name))!
    const known = (): readonly string[] => client.consensus!.status().voters
    expect(known().some(isNew), 'before').to.equal(false)
    let isDone = false
    void world.operate(client).then(() => (isDone = true))
    await world.until('it is done', () => isDone)
    expect(known().some(isNew), 'after').to.equal(true)
  })
})

describe('a log that is long', () => {
  it('is written as a snapshot, which a new voter and one that starts again go on from', async () => {
    const world = worldOf(9, five.slice(0, 3))
    const [first, second, third] = five.map((name) => world.host(name))
    first!.start()
    second!.start()
    await settled(world, 2)
    for (let number = 0; number < 40; number++) {
      const key = `${number} ${'k'.repeat(20_000)}`
      const command = encodeOperation({ kind: 'write', key, value: number })
      let isDone = false
      void second!.consensus!.submit(command, { timeoutMs: 8000 }).then(() => (isDone = true))
      await world.until('a command is applied', () => isDone)
    }
    expect(world.leader!.consensus!.status().snapshotBytes).to.be.above(200_000)
    second!.crash()
    second!.start()
    third!.start()
    await settled(world, 3)
    for (const host of [second!, third!]) {
      const isLevel = (): boolean => host.machine.map.snapshot() === first!.machine.map.snapshot()
      await world.until(`${host.name} has what the first has`, isLevel)
    }
  })
})

describe('a disk restored from an old copy', () => {
  it('is noticed by the leader; the voter is removed and learns all again', async () => {
    const world = worldOf(7, five.slice(0, 3))
    for (const host of world.hosts.values()) host.start()
    await settled(world, 3)
    const victim = world.running.find((host) => host !== world.leader)!
    const copy = new Map(victim.disk.rows)
    for (let i = 0; i < 20; i++) {
      const call = world.operate(world.leader!)
      let isDone = false
      void call.then(() => (isDone = true))
      await world.until('it is done', () => isDone)
    }
    victim.crash()
    victim.disk.rows = copy
    victim.start()
    await world.until('it is removed', () => world.voters().length === 2)
    await settled(world, 3)
    const isLevel = (): boolean =>
      victim.machine.map.snapshot() === world.leader!.machine.map.snapshot()
    await world.until('it has what the others have', isLevel)
  })

  it('loses nothing while it is in reach of its leader, though a voter that lags asks for its vote', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const world = worldOf(seed, five.slice(0, 3))
      for (const host of world.hosts.values()) host.start()
      await settled(world, 3)
      await world.clock.advance(2000)
      const old = world.leader!
      const [victim, lagging] = world.running.filter((host) => host !== old) as [Host, Host]
      const copy = new Map(victim.disk.rows)
      // What follows is known to two of three: a later term, with commands.
      world.partition([lagging.name], [old.name, victim.name])
      old.crash()
      old.start()
      const leads = (host: Host) => () => host.consensus?.isLeader() === true
      await world.until('one of the two leads', () => leads(old)() || leads(victim)())
      if (leads(victim)()) continue
      const written = encodeOperation({ kind: 'write', key: 'a', value: 77 })
      let isDone = false
      void old.consensus!.submit(written, { timeoutMs: 8000 }).then(() => (isDone = true))
      await world.until('it is written', () => isDone)
      victim.crash()
      victim.disk.rows = copy
      world.heal()
      world.partition([lagging.name], [old.name])
      victim.start()
      await world.clock.advance(5000)
      const { term } = old.consensus!.status()
      const leaders = world.running.filter((host) => {
        const status = host.consensus!.status()
        return status.role === 'leader' && status.term === term
      })
      expect(leaders.length, `seed ${seed}: leaders of term ${term}`).to.be.below(2)
      world.heal()
      await settled(world, 3)
      expect(world.leader!.machine.map.snapshot(), `seed ${seed}`).to.contain('77')
    }
  })
})

describe('a voter whose disk is full', () => {
  it('says nothing, is a client of the others, and takes part again once there is room', async () => {
    const world = worldOf(8, five.slice(0, 3))
    for (const host of world.hosts.values()) host.start()
    await settled(world, 3)
    const full = world.leader!
    const { term } = full.consensus!.status()
    full.disk.isFull = true
    // What is under way comes to its end.
    await world.clock.advance(20)
    const before = full.disk.writes
    const command = encodeOperation({ kind: 'write', key: 'a', value: 1 })
    let isDone = false
    void full.consensus!.submit(command, { timeoutMs: 8000 }).then(() => (isDone = true))
    await world.until('a command from there is applied', () => isDone)
    const others = world.running.filter((host) => host !== full)
    const leader = others.find(({ consensus }) => consensus!.isLeader())
    expect(leader?.consensus!.status().term).to.be.above(term)
    expect(full.disk.writes).to.equal(before)

    full.disk.isFull = false
    await settled(world, 3)
    const isLevel = (): boolean => full.machine.map.snapshot() === leader!.machine.map.snapshot()
    await world.until('it has what the others have', isLevel)
  })
})

describe('a lost majority', () => {
  it('is named, all of it, in the answer; `recover` on one that is left heals the cluster', async () => {
    const world = worldOf(4, five)
    for (const host of world.hosts.values()) host.start()
    await settled(world, 5)
    const [kept] = clustersIn(world)
    for (const name of ['h1', 'h2', 'h4']) world.host(name).loseDisk()
    await world.clock.advance(10_000)
    const { consensus } = world.host('h0')
    let said = ''
    const question = new TextEncoder().encode('a')
    const asked = consensus!.query(question, { timeoutMs: 5000 })
    asked.catch((error: Error) => (said = error.message))
    await world.until('it is refused in time', () => said !== '', 5100)
    expect(said).to.match(/h1, h2, h4 do not.*recover/)
    void consensus!.recover()
    await world.until('it leads again', () => world.leader?.name === 'h0', 10_000)
    for (const name of ['h1', 'h2', 'h4']) world.host(name).start()
    await settled(world, 5)
    expect(world.host('h3').clusters.at(-1)).to.not.equal(kept)
  })

  it('is not recovered while a majority answers', async () => {
    const world = worldOf(5, five.slice(0, 3))
    for (const host of world.hosts.values()) host.start()
    await settled(world, 3)
    const refused = await world
      .host('h1')
      .consensus!.recover()
      .catch((error: Error) => error.message)
    expect(refused).to.include('a majority still answers')
  })
})

describe('two clusters that meet', () => {
  it('become the one that more members belong to, and the others are told', async () => {
    const world = new ConsensusWorld(6)
    const few = ['a0', 'a1']
    const many = ['b0', 'b1', 'b2']
    for (const names of [few, many]) addTo(world, names)
    world.partition(few, many)
    for (const host of world.hosts.values()) host.start()
    await world.until(
      'two clusters',
      () => clustersIn(world).size === 2 && !clustersIn(world).has(''),
    )
    await world.clock.advance(30_000)
    const prevails = world.host('b0').consensus!.status().clusterId
    world.heal()
    await settled(world, 5)
    expect([...clustersIn(world)]).to.deep.equal([prevails])
    for (const name of few) expect(world.host(name).clusters).to.include(prevails)
  })
})
