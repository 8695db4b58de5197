import { expect } from 'chai'
import type { Reconciler } from '../../../src/dataplane/reconcile/reconciler.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { Mac } from '../../../src/net/mac.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { Peers } from '../../../src/peers/peers.ts'
import { targetsOf } from '../../../src/wiring/ports/path-ports.ts'

describe('paths that are probed', () => {
  it('are those to live members of plain overlays, and none of encrypted ones', () => {
    const peers = new Peers()
    const peer = (vni: number, member: string, live: boolean) => ({
      vni: vni as Vni,
      endpointId: `${vni}-${member}`,
      ips: [`10.0.0.${vni}` as Ip],
      mac: '02:00:00:00:00:01' as Mac,
      claimedAt: 1,
      origin: member,
      vtep: '192.0.2.2' as Ip,
      live,
    })
    for (const next of [peer(1, 'b', true), peer(1, 'c', false), peer(2, 'b', true)])
      peers.apply([{ previous: null, next }])
    const overlays = [
      { overlayId: 'plain', vni: 1, mtu: 1450, encrypted: false },
      { overlayId: 'secret', vni: 2, mtu: 1390, encrypted: true },
    ]
    const reconciler = { status: () => ({ overlays }) } as unknown as Reconciler
    const targets = targetsOf({ peers, reconciler }, 4789)
    expect(targets.map(({ overlayId, member }) => [overlayId, member])).to.deep.equal([
      ['plain', 'b'],
    ])
  })
})
