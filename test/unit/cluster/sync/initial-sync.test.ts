import { expect } from 'chai'
import { seededRandom } from '../../../../src/base/random.ts'
import { clusterDefaults as options } from '../../../../src/cluster/sync/options.ts'
import { InitialSync } from '../../../../src/cluster/sync/initial-sync.ts'
import type { VersionSummary } from '../../../../src/cluster/log/origin.ts'
import { Replica } from '../../../../src/cluster/log/replica.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

describe('cluster/initial-sync', () => {
  it('asks somebody else when what it waits for has gone, however much else is heard', async () => {
    const clock = new VirtualClock()
    const self = { name: 'me', address: '10.0.0.1' as Ip, epoch: 1 }
    const replica = new Replica(self, options, () => {})
    let asked = 0
    let done = false
    const sync = new InitialSync({
      clock,
      random: seededRandom(1),
      replica,
      members: { live: () => ['peer'] },
      compareWith: () => asked++,
      onDone: () => (done = true),
    } as unknown as ConstructorParameters<typeof InitialSync>[0])
    sync.begin()
    const head = (oid: string): VersionSummary => ({ oid, epoch: 5, prefix: 3, head: 3 })
    for (const oid of ['leaver__', 'other___']) replica.hearOf(head(oid), 0)
    sync.onSummaries('peer', [head('leaver__')])
    replica.endEpoch('leaver__', 5, 1)
    for (let i = 0; i < 10; i++) {
      await clock.advance(400)
      sync.onApplied('other___')
    }
    expect(asked).to.be.greaterThan(1)
    sync.onSummaries('peer', [])
    expect(done).to.equal(true)
  })
})
