import type { Memberlist } from 'memberlist-js'
import { present, stateOf } from '../support/cluster.ts'
import { realMember } from '../support/real-member.ts'
import { eventually, SerfAgent, skipWithoutSerf } from '../support/serf.ts'

describe('a mixed cluster', function () {
  this.timeout(90_000)
  before(function () {
    skipWithoutSerf(this)
  })

  const agents: SerfAgent[] = []
  const lists: Memberlist[] = []
  afterEach(async () => {
    await Promise.all(lists.splice(0).map(async (list) => await list.close()))
    for (const agent of agents.splice(0)) await agent[Symbol.asyncDispose]()
  })

  const seenBy = async (agent: SerfAgent) => {
    const members = await agent.members()
    return members.flatMap(({ name, status }) => (status === 'alive' ? [name] : [])).sort()
  }
  const allSee = async (names: readonly string[], someAgents = agents, someLists = lists) => {
    const expected = names.toSorted().join()
    const views = [...(await Promise.all(someAgents.map(seenBy))), ...someLists.map(present)]
    return views.every((view) => view.join() === expected)
  }

  it('of three serf agents and three of ours agrees, through a death on each side', async () => {
    for (let i = 1; i <= 3; i++) {
      agents.push(await SerfAgent.start(`go${i}`, `127.77.3.${i}`))
      lists.push(await realMember(`node${i}`, `127.77.3.1${i}`))
    }
    // A chain: each joins one of the other kind.
    await lists[0]!.join(['127.77.3.1'])
    await agents[1]!.command('join', '127.77.3.11')
    await lists[1]!.join(['127.77.3.2'])
    await agents[2]!.command('join', '127.77.3.12')
    await lists[2]!.join(['127.77.3.3'])
    const all = ['go1', 'go2', 'go3', 'node1', 'node2', 'node3']
    await eventually('all see all', async () => await allSee(all))

    agents[2]!.signal('SIGKILL')
    await lists[2]!.close()
    const rest = ['go1', 'go2', 'node1', 'node2']
    await eventually(
      'all see the deaths',
      async () => await allSee(rest, agents.slice(0, 2), lists.slice(0, 2)),
      40_000,
    )
  })

  it('of one serf agent and forty of ours with large meta: states of some size', async () => {
    const meta = Buffer.alloc(500, 'x')
    agents.push(await SerfAgent.start('go1', '127.77.4.200'))
    for (let i = 0; i < 40; i++) {
      const delegate = { meta: () => meta }
      lists.push(await realMember(`node${i}`, `127.77.4.${i + 1}`, { delegate }))
    }
    for (const list of lists) await list.join(['127.77.4.200'])
    await eventually('it sees all', async () => (await seenBy(agents[0]!)).length === 41)
    // Two alive messages of this size fill a packet, so gossip alone needs some seconds.
    await eventually('we see all', () => lists.every((each) => each.numberOfMembers === 41), 40_000)
    await eventually('all hold it for alive', () =>
      lists.every((list) => stateOf(list, 'go1') === 'alive'),
    )
  })
})
