import { expect } from 'chai'
import { encodeMeta } from '../../../../src/cluster/wire/piggyback.ts'
import {
  hasPlausibleEpochs,
  withPlausibleEpoch,
} from '../../../../src/cluster/wire/plausible-epochs.ts'
import type { Ip } from '../../../../src/net/ip.ts'

const now = Date.UTC(2026, 0, 1)
const year = 365 * 86_400_000

describe('cluster/plausible-epochs', () => {
  it('are at most a year ahead, in each kind of frame that has some', () => {
    const oid = '12345678'
    const at = (epoch: number) => [
      { kind: 'leave', oid, epoch, signature: '' } as const,
      {
        kind: 'deltaRequest',
        requests: [{ oid, epoch, coverage: { prefix: 0, above: [] } }],
      } as const,
      {
        kind: 'summaries',
        answer: false,
        buckets: [],
        summaries: [{ oid, epoch, prefix: 0, head: 0 }],
      } as const,
      {
        kind: 'delta',
        delta: { oid, epoch, floor: 0, head: 0, reset: null, repair: false, ranges: [] },
      } as const,
    ]
    for (const frame of at(now + year)) expect(hasPlausibleEpochs(frame, now)).to.equal(true)
    for (const frame of at(now + year + 1)) expect(hasPlausibleEpochs(frame, now)).to.equal(false)
    expect(hasPlausibleEpochs({ kind: 'transfer', state: 'done' }, now)).to.equal(true)
  })

  it('leave a member without metadata when its own is beyond a year and a day', () => {
    const member = (epoch: number) => {
      const address = '192.0.2.2' as Ip
      const meta = encodeMeta({ epoch, address })
      return { name: 'b', host: address, port: 7946, state: 'alive', meta } as const
    }
    const day = 86_400_000
    const fine = member(now + year + day)
    expect(withPlausibleEpoch(fine, now)).to.equal(fine)
    expect(withPlausibleEpoch(member(now + year + day + 1), now).meta).to.have.length(0)
  })
})
