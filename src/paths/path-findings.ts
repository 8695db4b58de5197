import type { Finding } from '../base/findings.ts'
import type { Verdict } from './path-record.ts'

/** What is known about the path to a member through one overlay. */
export interface PathView {
  readonly member: string
  readonly overlayId: string
  readonly vtep: string
  /** Bytes of the inner packets of full size. */
  readonly mtu: number
  readonly small: Verdict
  readonly full: Verdict
  readonly loss: { readonly lost: number; readonly sent: number } | null
  /** Whether the member has seen our probes lately; null when it does not say. */
  readonly arrivesThere: boolean | null
  /** Whether its probes have arrived here lately. */
  readonly arrivesHere: boolean
}

export type PathState = 'up' | 'blocked' | 'one-way' | 'mtu' | 'loss' | 'unknown'

/** The state of a path. Without a word from the member, silence may be its plugin's. */
export function stateOf(path: PathView): PathState {
  if (path.small === 'lost') {
    if (path.arrivesThere === null) return 'unknown'
    return path.arrivesThere || path.arrivesHere ? 'one-way' : 'blocked'
  }
  if (path.small === 'unknown') return 'unknown'
  if (path.full === 'lost') return 'mtu'
  return path.loss === null ? 'up' : 'loss'
}

interface Here {
  readonly member: string
  readonly vtep: string
  /** UDP port of the tunnels. */
  readonly port: number
}

/** What is wrong with the paths to members, a finding for each of these and kind. */
export function findingsOf(paths: readonly PathView[], here: Here): Finding[] {
  const byMember = Map.groupBy(paths, ({ member }) => member)
  return [...byMember.values()].flatMap((all) => {
    const byState = Map.groupBy(all, stateOf)
    return [...byState].flatMap(([state, some]) => {
      const where = some.length === all.length ? '' : overlaysText(some)
      const told = tell(state, some[0]!, here)
      if (told === null) return []
      const [code, text, remedy] = told
      return [{ code, subject: `member ${some[0]!.member}`, text: text + where, remedy }]
    })
  })
}

function tell(
  state: PathState,
  path: PathView,
  here: Here,
): [code: Finding['code'], text: string, remedy: string] | null {
  const { member, vtep, mtu, loss } = path
  const open = (from: string, to: string): string =>
    `is ${here.port}/udp open from ${from} to ${to}? (firewall, security group)`
  if (state === 'blocked')
    return [
      'TUNNEL_BLOCKED',
      `gossip with ${member} works, VXLAN does not, in neither direction`,
      open(here.vtep, `${vtep} and back`),
    ]
  if (state === 'one-way' && path.arrivesThere === true)
    return [
      'TUNNEL_ONE_WAY',
      `VXLAN from ${member} does not arrive at ${here.member}; the other direction works`,
      open(vtep, here.vtep),
    ]
  if (state === 'one-way')
    return [
      'TUNNEL_ONE_WAY',
      `VXLAN from ${here.member} does not arrive at ${member}; the other direction works`,
      open(here.vtep, vtep),
    ]
  if (state === 'mtu')
    return [
      'TUNNEL_MTU',
      `packets of ${mtu} bytes do not reach ${member}, small ones do`,
      'something between the hosts carries less than the underlay’s MTU: repair that, or set MTU on all hosts and create the network again',
    ]
  if (state === 'loss')
    return [
      'TUNNEL_LOSS',
      `VXLAN to ${member} and back loses packets: ${loss!.lost} of the last ${loss!.sent}`,
      'look for errors and drops on the links between the hosts: ip -s link',
    ]
  return null
}

function overlaysText(paths: readonly PathView[]): string {
  return `, on ${paths.map(({ overlayId }) => overlayId).join(', ')} only`
}
