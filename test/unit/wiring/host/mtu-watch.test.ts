import { expect } from 'chai'
import { failure } from '../../../../src/base/errors.ts'
import { Findings } from '../../../../src/base/findings.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { MtuWatch } from '../../../../src/wiring/host/mtu-watch.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

describe('the watch on the MTU of the underlay', () => {
  it('finds a link that carries less than a network needs, and that it is over', async () => {
    const clock = new VirtualClock()
    const findings = new Findings(clock, silentLogger)
    let underlay: number | null = 1500
    const watch = new MtuWatch({
      clock,
      findings: findings.room('underlay'),
      networks: () => [
        { overlayId: 'plain', mtu: 1450, encrypted: false },
        { overlayId: 'secret', mtu: 1390, encrypted: true },
      ],
      mtuHere: async (encrypted) => {
        if (underlay === null) throw failure('KERNEL', 'no address')
        return underlay - (encrypted ? 110 : 50)
      },
    })
    const found = async (mtu: number | null): Promise<string[]> => {
      underlay = mtu
      await clock.advance(4000)
      return findings.status().list.map(({ code, text }) => `${code}: ${text}`)
    }
    watch.start()
    expect(await found(1500)).to.deep.equal([])
    expect(await found(9000)).to.deep.equal([])
    const expected =
      'UNDERLAY_MTU: the link between the hosts leaves 1350 bytes for containers, and plain has 1450'
    expect(await found(1400)).to.deep.equal([expected])
    expect(await found(null), 'nothing is known').to.deep.equal([expected])
    expect(await found(1500)).to.deep.equal([])
    watch.stop()
  })
})
