import { expect } from 'chai'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { eventually, pause, SerfAgent, skipWithoutSerf } from '../support/serf.ts'

const program = new URL('../support/member-process.ts', import.meta.url).pathname

describe('our process stands still among serf agents', function () {
  this.timeout(60_000)
  before(function () {
    skipWithoutSerf(this)
  })

  let agents: SerfAgent[]
  let ours: ChildProcess
  /** The last that our process said; none yet is 0. */
  let incarnation: number

  beforeEach(async () => {
    const alpha = await SerfAgent.start('alpha', '127.77.0.11')
    const beta = await SerfAgent.start('beta', '127.77.0.12', '-join=127.77.0.11')
    agents = [alpha, beta]
    const args = ['--conditions=source', program, 'ours', '127.77.0.13', '127.77.0.11']
    incarnation = 0
    ours = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    ours.stdout!.on('data', (chunk: Buffer) => {
      incarnation = Number(chunk.toString().trim().split('\n').at(-1))
    })
  })
  afterEach(async () => {
    const exited = once(ours, 'exit')
    ours.kill('SIGKILL')
    await exited
    for (const agent of agents) await agent[Symbol.asyncDispose]()
  })

  it('is suspected, and refutes when it goes on', async () => {
    const alive = async () => {
      const seen = await Promise.all(agents.map(async (agent) => await agent.statusOf('ours')))
      return seen.every((status) => status === 'alive')
    }
    await eventually('both agents hold us for alive', alive)
    await eventually('our first word', () => incarnation > 0)
    const before = incarnation
    const logs = () => agents.map(({ log }) => log).join('\n')
    // On a busy machine we may have been suspected at the start already.
    const suspicions = () => logs().split('Suspect ours has failed').length - 1
    const earlier = suspicions()
    ours.kill('SIGSTOP')
    await eventually('the suspicion', () => suspicions() > earlier, 20_000)
    ours.kill('SIGCONT')
    await eventually('the refutation', () => incarnation > before)
    // The suspicions would have run out after four seconds.
    await pause(6000)
    expect(await alive()).to.equal(true)
    expect(logs()).not.to.match(/Marking ours as failed/)
    expect(logs()).not.to.match(/EventMemberFailed: ours/)
  })
})
