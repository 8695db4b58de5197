import { join } from 'node:path'
import { expect } from 'chai'
import type { Memberlist } from 'memberlist-js'
import { present, record, stateOf } from '../support/cluster.ts'
import { realMember, serfTags } from '../support/real-member.ts'
import { eventually, pause, SerfAgent, skipWithoutSerf } from '../support/serf.ts'

/** The agents leave it to us to try failed members again. */
const noReconnect = `-config-file=${join(import.meta.dirname, '../support/serf-without-reconnect.json')}`

describe('among serf agents', function () {
  this.timeout(60_000)
  before(function () {
    skipWithoutSerf(this)
  })

  let alpha: SerfAgent
  let beta: SerfAgent
  let ours: Memberlist
  let role: string

  beforeEach(async () => {
    role = 'store'
    alpha = await SerfAgent.start(
      'alpha',
      '127.77.0.1',
      noReconnect,
      '-tag',
      'role=web',
      '-tag',
      'dc=eu',
    )
    beta = await SerfAgent.start('beta', '127.77.0.2', noReconnect, '-join=127.77.0.1')
    ours = await realMember('ours', '127.77.0.3', { delegate: { meta: () => serfTags({ role }) } })
  })
  afterEach(async () => {
    await ours.close()
    await alpha[Symbol.asyncDispose]()
    await beta[Symbol.asyncDispose]()
  })

  const both = async (status: string | undefined) => {
    const seen = await Promise.all([alpha, beta].map(async (agent) => await agent.statusOf('ours')))
    return seen.every((each) => each === status)
  }
  const joined = async () => {
    await ours.join(['127.77.0.1'])
    await eventually('both agents hold us for alive', async () => await both('alive'))
  }

  it('we join them, and both accept us with our tags', async () => {
    const { contacted, errors } = await ours.join(['127.77.0.1'])
    expect({ contacted, errors }).to.deep.equal({ contacted: 1, errors: [] })
    await eventually('both agents hold us for alive', async () => await both('alive'))
    await eventually('we see both', () => present(ours).join() === 'alpha,beta,ours')
    const seen = (await beta.members()).find(({ name }) => name === 'ours')!
    expect([seen.addr, seen.tags]).to.deep.equal(['127.77.0.3:7946', { role: 'store' }])
    const meta = Buffer.from(ours.members.get('alpha')!.meta).toString('latin1')
    expect(meta[0]).to.equal('\xff')
    expect(meta).to.include('\xa4role\xa3web').and.to.include('\xa2dc\xa2eu')
  })

  it('they join us', async () => {
    await beta[Symbol.asyncDispose]()
    beta = await SerfAgent.start('gamma', '127.77.0.4', '-join=127.77.0.3')
    await eventually('we see it', () => stateOf(ours, 'gamma') === 'alive')
    await eventually('it sees us', async () => (await beta.statusOf('ours')) === 'alive')
  })

  it('new meta reaches them, and theirs us', async () => {
    await joined()
    role = 'cache'
    await ours.updateMeta()
    await eventually('our tag changed', async () => {
      const us = (await beta.members()).find(({ name }) => name === 'ours')
      return us?.tags['role'] === 'cache'
    })
    const seen = record(ours)
    await alpha.command('tags', '-set', 'role=front')
    await eventually('their tag changed', () => seen.includes('update alpha'))
    expect(Buffer.from(ours.members.get('alpha')!.meta).toString('latin1')).to.include('\xa5front')
  })

  it('their user events are messages here', async () => {
    await joined()
    const got: Uint8Array[] = []
    ours.on('message', (payload) => got.push(payload))
    await alpha.command('event', 'deploy', 'now')
    await eventually('the event', () =>
      got.some((payload) => payload[0] === 3 && Buffer.from(payload).includes('deploy')),
    )
  })

  it('probing each other in peace loses nobody', async () => {
    await joined()
    const seen = record(ours)
    await pause(5000)
    // On a busy machine somebody may be suspected, who then refutes.
    expect(seen.filter((event) => !/^(suspect|refuted) /.test(event))).to.deep.equal([])
    expect(await both('alive')).to.equal(true)
    expect(ours.counters).to.deep.equal({})
  })

  it('a frozen agent is suspected, and refutes when it goes on', async () => {
    await joined()
    const seen = record(ours)
    alpha.signal('SIGSTOP')
    await eventually('the suspicion', () => stateOf(ours, 'alpha') === 'suspect')
    alpha.signal('SIGCONT')
    await eventually('the refutation', () => stateOf(ours, 'alpha') === 'alive')
    expect(seen).to.deep.equal(['suspect alpha', 'refuted alpha'])
    expect(ours.members.get('alpha')!.incarnation).to.be.greaterThan(1)
  })

  it('an agent frozen for longer dies, and is back afterwards', async () => {
    await joined()
    const seen = record(ours)
    alpha.signal('SIGSTOP')
    await eventually('its death', () => stateOf(ours, 'alpha') === 'dead', 20_000)
    alpha.signal('SIGCONT')
    await eventually('its return', () => stateOf(ours, 'alpha') === 'alive', 20_000)
    expect(seen).to.deep.equal(['suspect alpha', 'leave alpha failed', 'join alpha'])
  })

  it('their goodbye is one to us', async () => {
    await joined()
    const seen = record(ours)
    await beta.leave()
    await eventually('the goodbye', () => stateOf(ours, 'beta') === 'left')
    expect(seen).to.deep.equal(['leave beta left'])
  })

  it('our goodbye is one to them, after the leave intent that serf wants', async () => {
    await joined()
    // serf tells leaving from failing by a message of its own: {LTime, Node, Prune}.
    const intent = Buffer.from('\x00\x83\xa5LTime\x64\xa4Node\xa4ours\xa5Prune\xc2', 'latin1')
    await ours.broadcast(intent)
    await ours.leave()
    await eventually('left', async () => await both('left'))
  })

  it('when we vanish they notice, and take us back', async () => {
    await joined()
    await ours.close()
    await eventually('failed', async () => await both('failed'), 20_000)
    ours = await realMember('ours', '127.77.0.3')
    await ours.join(['127.77.0.2'])
    await eventually('alive', async () => await both('alive'))
    expect(ours.local.incarnation).to.be.greaterThan(1)
    await eventually('we see both', () => present(ours).join() === 'alpha,beta,ours')
  })

  it('our name at another address is refused while we live, taken when we left', async () => {
    await joined()
    const impostor = await realMember('ours', '127.77.0.5')
    try {
      await impostor.join(['127.77.0.1'])
      await eventually('the refusal', () => /Conflicting address for ours/.test(alpha.log))
      const us = (await alpha.members()).find(({ name }) => name === 'ours')!
      expect(us.addr).to.equal('127.77.0.3:7946')
    } finally {
      await impostor.close()
    }
    await ours.leave()
    await ours.close()
    ours = await realMember('ours', '127.77.0.5')
    await ours.join(['127.77.0.1'])
    await eventually('the new address', async () => {
      const us = (await beta.members()).find(({ name }) => name === 'ours')!
      return us.addr === '127.77.0.5:7946' && us.status === 'alive'
    })
  })

  it('a partition that cuts one agent off heals by our own reconnecting', async () => {
    await joined()
    alpha.signal('SIGSTOP')
    await eventually('its death', () => stateOf(ours, 'alpha') === 'dead', 20_000)
    alpha.signal('SIGCONT')
    await eventually('its return', () => stateOf(ours, 'alpha') === 'alive')
  })
})
