import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import type { InitialSync } from '../../../src/cluster/sync/initial-sync.ts'
import type { GossipTransport, JoinOutcome } from '../../../src/cluster/gossip/gossip-transport.ts'
import { Joining } from '../../../src/cluster/joining.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const nothing: JoinOutcome = { contacted: 0, own: 0, errors: [] }
const absent = new Error('192.0.2.9:7946: connection refused')

/** Whether somebody whose seeds did so takes itself for alone; and what it warned of. */
async function joined(
  seeds: readonly string[],
  outcome: JoinOutcome,
): Promise<{ alone: boolean; warnings: readonly string[]; error: unknown }> {
  const clock = new VirtualClock()
  let alone = false
  const warnings: string[] = []
  const joining: Joining = new Joining({
    clock,
    logger: { ...silentLogger, warn: (message) => void warnings.push(message) },
    gossip: { join: async () => outcome } as unknown as GossipTransport,
    initialSync: {
      done: false,
      skip: () => {
        alone = true
        joining.onSynced()
      },
    } as unknown as InitialSync,
    joinBoundMs: 1000,
  })
  const error = joining.join(seeds).catch((reason: unknown) => reason)
  await clock.advance(2000)
  return { alone, warnings, error: await error }
}

describe('cluster/joining', () => {
  it('takes itself for alone without seeds, and when all seeds are itself', async () => {
    expect(await joined([], nothing)).to.deep.include({ alone: true, error: undefined })
    const itself = await joined(['host-1'], { ...nothing, own: 1 })
    expect(itself).to.deep.include({ alone: true, error: undefined })
  })

  it('and never because nobody else was found', async () => {
    for (const outcome of [
      nothing,
      { ...nothing, errors: [absent] },
      { ...nothing, own: 1, errors: [absent] },
      { ...nothing, contacted: 1 },
      { ...nothing, own: 1, contacted: 1 },
    ]) {
      const { alone, warnings, error } = await joined(['host-1', 'host-2'], outcome)
      expect(alone).to.equal(false)
      expect(error).to.have.property('code', 'MEMBER_AWAY')
      expect(warnings).to.have.length(outcome.errors.length)
    }
  })
})
