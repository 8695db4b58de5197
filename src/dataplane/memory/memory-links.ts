import { type Ip, ipBits } from '../../net/ip.ts'
import type { EndpointLink, OverlayLinks, OverlayLinkStates, RowChange } from '../dataplane.ts'

/** The links of an overlay in memory: all are up. */
export function linkStatesOf(
  { vni, vtep, port, mtu }: OverlayLinks,
  endpoints: readonly { readonly link: EndpointLink }[],
): OverlayLinkStates {
  const up = { up: true, carrier: true }
  const ports = endpoints.map(({ link }) => [link.endpointId, { ...up, mtu: link.mtu }])
  const [bridge, vxlan] = [
    { ...up, mtu },
    { ...up, mtu, vni, vtep, port },
  ]
  return { bridge, vxlan, ports: Object.fromEntries(ports), tunnelDrops: 0 }
}

/** What a change of an overlay's links does, in words. */
export function differences(before: OverlayLinks, after: OverlayLinks): string[] {
  const changed: string[] = []
  if (before.vni !== after.vni || before.vtep !== after.vtep || before.port !== after.port)
    changed.push('VXLAN device recreated')
  if (before.mtu !== after.mtu) changed.push(`MTU ${before.mtu} → ${after.mtu}`)
  const sorted = (links: OverlayLinks): string => [...links.gateways].sort().join()
  if (sorted(before) !== sorted(after)) changed.push('gateways changed')
  return changed
}

/** A VXLAN device has an IPv4 or an IPv6 socket, and so have all its VTEPs. */
export function familyError(vtep: Ip, change: RowChange): string | null {
  if (change.op === 'remove' || change.kind !== 'fdb') return null
  return ipBits(change.vtep) === ipBits(vtep) ? null : 'EAFNOSUPPORT'
}

export function ipsOf({ addresses }: EndpointLink): Ip[] {
  return addresses.map(({ ip }) => ip)
}
