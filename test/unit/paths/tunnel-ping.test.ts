import { expect } from 'chai'
import type { Ip } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'
import type { Target } from '../../../src/paths/paths.ts'
import { pingTunnel } from '../../../src/paths/tunnel-ping.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const target: Target = {
  member: 'two',
  overlayId: 'net',
  vni: 7 as Vni,
  vtep: '192.0.2.2' as Ip,
  mtu: 1450,
  port: 4789,
}

/** A tunnel that carries packets up to a size, and how many were sent. */
async function pinged(maxBytes: number) {
  const clock = new VirtualClock()
  let sent = 0
  const probe = (_: Target, bytes: number, timeoutMs: number): Promise<number | null> => {
    sent++
    const passes = bytes <= maxBytes
    return new Promise((resolve) => {
      clock.setTimeout(() => resolve(passes ? 2 : null), passes ? 2 : timeoutMs)
    })
  }
  const result = pingTunnel(clock, probe, target)
  await clock.advance(20_000)
  return { ...(await result), sent }
}

describe('a ping through a tunnel', () => {
  it('counts what is answered', async () => {
    const { small, full, largestBytes, sent } = await pinged(9000)
    expect(small).to.deep.equal({ sent: 5, rttMs: [2, 2, 2, 2, 2] })
    expect(full).to.deep.equal(small)
    expect([largestBytes, sent]).to.deep.equal([1450, 10])
  })

  it('finds the largest packet that passes', async () => {
    for (const maxBytes of [576, 577, 1350, 1449]) {
      const { full, largestBytes, sent } = await pinged(maxBytes)
      expect(full.rttMs, String(maxBytes)).to.deep.equal([])
      expect(largestBytes, String(maxBytes)).to.equal(maxBytes)
      expect(sent).to.be.lessThan(40)
    }
    expect((await pinged(100)).largestBytes, 'only small ones pass').to.equal(null)
  })

  it('searches nothing where nothing passes', async () => {
    expect(await pinged(-1)).to.deep.include({ largestBytes: null, sent: 10 })
  })
})
