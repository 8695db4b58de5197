import { expect } from 'chai'
import { silentLogger } from '../../../../src/base/logger.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import { ConsensusDisk } from '../../../../src/consensus/server/disk.ts'
import { ReplicatedState } from '../../../../src/consensus/server/replicated-state.ts'
import { RaftServer } from '../../../../src/consensus/server/server.ts'
import { limits } from '../../../../src/consensus/core/types.ts'
import { registerMachine } from '../../../simulation/consensus/host.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

/** Timers fire that much later than they should, as those of a busy event loop. */
class BusyClock extends VirtualClock {
  lateMs = 0

  override setTimeout(fn: () => void, ms: number): object {
    return super.setTimeout(fn, ms + this.lateMs)
  }
}

/** One of three voters, of which the others say nothing. */
function loneVoter(clock: BusyClock): { server: RaftServer; votesAskedMs: number[] } {
  const votesAskedMs: number[] = []
  const voters = ['a#1', 'b#1', 'c#1']
  const state = new ReplicatedState(registerMachine())
  const place = { index: 1, term: 1, timeMs: 0, version: 1 }
  const configuration = { voters, learners: [] }
  const snapshot = { ...place, configuration, data: state.snapshot() }
  const server = new RaftServer({
    clock,
    random: seededRandom(1),
    logger: silentLogger,
    state,
    disk: new ConsensusDisk({ entries: () => [], write: () => Promise.resolve() }),
    stored: { id: 'a#1', persistent: { term: 1, votedFor: null, snapshot, entries: [] } },
    send: (_, { kind }) => void (kind === 'vote' && votesAskedMs.push(clock.now())),
    onChange: () => {},
  })
  server.start()
  return { server, votesAskedMs }
}

describe('a server', () => {
  it('takes a silent leader for lost as soon when its event loop is busy', async () => {
    const clock = new BusyClock()
    clock.lateMs = 150
    const { server, votesAskedMs } = loneVoter(clock)
    await clock.advance(2 * limits.electionTicks * 100 + 500)
    expect(votesAskedMs.length).to.be.greaterThan(0)
    server.stop()
  })

  it('does not take all others for silent because it stood still', async () => {
    const clock = new BusyClock()
    const { server, votesAskedMs } = loneVoter(clock)
    await clock.advance(200)
    clock.lateMs = 60_000
    await clock.advance(200)
    clock.lateMs = 0
    await clock.advance(60_400)
    expect(votesAskedMs).to.deep.equal([])
    server.stop()
  })
})
