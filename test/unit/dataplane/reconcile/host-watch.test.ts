import { expect } from 'chai'
import { VirtualClock } from '../../../support/virtual-clock.ts'
import { hostWatch } from '../../../../src/dataplane/reconcile/host-watch.ts'
import { silentLogger } from '../../../../src/base/logger.ts'

describe('dataplane/host-watch', () => {
  it('audits when the filter was changed by others, and not because it was made at the start', async () => {
    const clock = new VirtualClock()
    const changes = [['filter made'], [], ['filter made'], []]
    let audits = 0
    const dataplane = { ensureHost: async () => changes.shift() ?? [] }
    const repair = async (): Promise<void> => void audits++
    const watch = hostWatch({ clock, logger: silentLogger, dataplane, repair })
    watch.start(0)
    await clock.advance(1500)
    expect(audits).to.equal(0)
    await clock.advance(1000)
    expect(audits).to.equal(1)
    await clock.advance(5000)
    expect(audits).to.equal(1)
    watch.stop()
  })
})
