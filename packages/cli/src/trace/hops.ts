import type { EndpointSnapshot, HostSnapshot } from '../../../../src/wiring/diagnosis/snapshot.ts'
import type { End, Ends } from './ends.ts'

/** What a frame meets on its way, and what was found there. */
export interface Hop {
  readonly host: string
  readonly what: string
  /** Null where nothing can be said, or where it does not matter. */
  readonly ok: boolean | null
  /** The row, rule or counter that decides. */
  readonly found: string
  /** What to do; null when nothing is wrong. */
  readonly remedy: string | null
}

export type Snapshots = Readonly<Record<string, HostSnapshot | null>>

/** What is wrong at a hop, or the reason why nothing is. */
type Judgement =
  | { readonly found: string; readonly ok?: null }
  | { readonly wrong: string; readonly remedy: string }

const audited =
  'an audit repairs it within AUDIT_SECONDS; if it comes back, another program does it'
const restart = 'restart the container'

/**
 * The hops of a frame from one end to the other, and those of the answer that differ, in order.
 * A pure function of what the two hosts' kernels and records have.
 */
export function hopsOf(ends: Ends, snapshots: Snapshots): Hop[] {
  const { from, to } = ends
  const [near, far] = [snapshots[from.host] ?? null, snapshots[to.host] ?? null]
  for (const [{ host }, snapshot] of [[from, near] as const, [to, far] as const]) {
    const remedy = `is the plugin enabled on ${host}? "docker tsoverlay status" here says since when it is away`
    if (snapshot === null) return [hop(host, 'plugin', { wrong: 'does not answer', remedy })]
    const missing = `no network of the overlay ${ends.overlayId}`
    if (snapshot.overlay === null)
      return [hop(host, 'network', { wrong: missing, remedy: 'docker network create it there' })]
  }
  if (from.host === to.host) return onOneHost(ends, near!)
  return [...there(ends, near!, far!), ...back(ends, near!, far!)]
}

/** The first hop that is wrong; null when none is. */
export function firstWrong(hops: readonly Hop[]): Hop | null {
  return hops.find(({ ok }) => ok === false) ?? null
}

function onOneHost({ from, to }: Ends, host: HostSnapshot): Hop[] {
  const at = (what: string, judgement: Judgement): Hop => hop(host.member, what, judgement)
  return [
    ...endpointHops(host, from, ['link', 'filter']),
    at('bridge', bridge(host)),
    ...endpointHops(host, to, ['link', 'filter']),
  ]
}

function there({ from, to }: Ends, near: HostSnapshot, far: HostSnapshot): Hop[] {
  const at = (what: string, judgement: Judgement): Hop => hop(near.member, what, judgement)
  const beyond = [
    hop(far.member, 'tunnel filter', admission(far, near)),
    hop(far.member, 'VXLAN device', device(far, near)),
    hop(far.member, 'bridge', bridge(far)),
  ]
  // Probes pass the far host's devices, too: what is wrong there is the cause, and named as such.
  const isExplained = firstWrong(beyond) !== null
  return [
    ...endpointHops(near, from, ['link', 'filter', 'fast path']),
    ...rowHops(near, to),
    at('bridge', bridge(near)),
    at('VXLAN device', device(near, far)),
    at('underlay', underlay(near, far, isExplained)),
    ...beyond,
    ...endpointHops(far, to, ['link']),
  ]
}

/** What only the answer meets. */
function back({ from, to }: Ends, near: HostSnapshot, far: HostSnapshot): Hop[] {
  return [
    ...endpointHops(far, to, ['filter', 'fast path']),
    ...rowHops(far, from),
    hop(far.member, 'underlay', underlay(far, near, false)),
    hop(near.member, 'tunnel filter', admission(near, far)),
  ]
}

function hop(host: string, what: string, judgement: Judgement): Hop {
  if ('wrong' in judgement)
    return { host, what, ok: false, found: judgement.wrong, remedy: judgement.remedy }
  const { found, ok = true } = judgement
  return { host, what, ok, found, remedy: null }
}

type EndpointHop = 'link' | 'filter' | 'fast path'

function endpointHops(host: HostSnapshot, { ip, name }: End, which: readonly EndpointHop[]): Hop[] {
  if (ip === null) return []
  const endpoint = host.overlay!.endpoints.find(({ ips }) => ips.includes(ip))
  if (endpoint === undefined) {
    const remedy = '"docker tsoverlay where" shows what has the address'
    return [hop(host.member, `link of ${name}`, { wrong: `no container has ${ip}`, remedy })]
  }
  const judge = {
    link,
    filter: (one: EndpointSnapshot) => filter(host, one, ip),
    'fast path': path,
  }
  function path(one: EndpointSnapshot): Judgement {
    return fastPath(host, one)
  }
  return which.map((what) => hop(host.member, `${what} of ${name}`, judge[what](endpoint)))
}

function link({ port, joined, mac }: EndpointSnapshot): Judgement {
  if (!joined) return { wrong: 'its container has not started', remedy: 'docker start it' }
  if (port === null)
    return { wrong: 'the veth pair is gone', remedy: `${audited}; else ${restart}` }
  if (port.inHostNetns)
    return { wrong: 'the link was not moved into the container', remedy: restart }
  if (!port.up) return { wrong: 'the bridge’s end is down', remedy: audited }
  if (!port.carrier)
    return {
      wrong: 'the container’s end is down',
      remedy: `"ip link set dev eth0 up" in the container, or ${restart}`,
    }
  if (!port.configured)
    return { wrong: 'the port is not on the bridge as it has to be', remedy: audited }
  if (port.mac !== mac)
    return {
      wrong: `the bridge has ${port.mac ?? 'no MAC'} behind it, not ${mac}`,
      remedy: audited,
    }
  return { found: `up, MTU ${port.mtu}, ${mac}` }
}

function filter(host: HostSnapshot, { port }: EndpointSnapshot, ip: string): Judgement {
  const { dropped } = host.overlay!
  const counts = Object.entries(dropped).map(([reason, frames]) => `${reason} ${frames}`)
  const soFar = counts.length === 0 ? '' : `; dropped on this overlay: ${counts.join(', ')}`
  const allowed = port?.allowed ?? null
  if (allowed === null) return { found: `sends from any address${soFar}`, ok: null }
  if (allowed.includes(ip)) return { found: `sends from ${allowed.join(', ')}${soFar}` }
  const instead = allowed.length === 0 ? 'from no address' : `only from ${allowed.join(', ')}`
  return { wrong: `the filter lets it send ${instead}${soFar}`, remedy: audited }
}

function fastPath({ overlay }: HostSnapshot, { port }: EndpointSnapshot): Judgement {
  const { noFastPath } = overlay!
  if (noFastPath !== null) return { found: `takes the bridge: ${noFastPath}`, ok: null }
  return { found: `on, ${port?.pastBridge ?? 0} frames sent past the bridge` }
}

/** The rows that lead to an address of another host. */
function rowHops({ member, overlay, claims }: HostSnapshot, { ip, host }: End): Hop[] {
  if (ip === null) return []
  const claim = claims.find((known) => known.ip === ip)
  const record = (wrong: string, remedy: string): Hop[] => [
    hop(member, `record of ${ip}`, { wrong, remedy }),
  ]
  if (claim === undefined)
    return record('no member claims the address here', '"docker tsoverlay diff" shows what differs')
  if (claim.member !== host)
    return record(`${claim.member} claims it, too, and counts`, 'stop one of the two containers')
  const { mac, vtep } = claim
  const neighbour = overlay!.neighbours.find((row) => row.ip === ip)
  const rows = overlay!.fdb.filter((row) => row.mac === mac)
  const wrongRow = rows.find((row) => row.vtep !== vtep)
  return [
    hop(
      member,
      'neighbour row',
      neighbour?.mac === mac
        ? { found: `${ip} is at ${mac}` }
        : {
            wrong: neighbour ? `${ip} is at ${neighbour.mac}, not at ${mac}` : `none for ${ip}`,
            remedy: audited,
          },
    ),
    hop(
      member,
      'FDB row',
      rows.length > 0 && wrongRow === undefined
        ? { found: `${mac} is behind ${vtep}` }
        : {
            wrong: wrongRow
              ? `${mac} is behind ${wrongRow.vtep}, not behind ${vtep}`
              : `none for ${mac}`,
            remedy: audited,
          },
    ),
  ]
}

function bridge({ overlay }: HostSnapshot): Judgement {
  const state = overlay!.links?.bridge ?? null
  if (overlay!.links === null)
    return { wrong: 'the overlay has no namespace: no container is on it', remedy: restart }
  if (state === null) return { wrong: 'br0 is gone', remedy: audited }
  if (!state.up) return { wrong: 'br0 is down', remedy: audited }
  return { found: `br0 up, MTU ${state.mtu}` }
}

function device({ vtep, overlay }: HostSnapshot, other: HostSnapshot): Judgement {
  const { vni, port, mtu } = overlay!
  const state = overlay!.links?.vxlan ?? null
  const differs = (what: string, here: unknown, there: unknown): Judgement => ({
    wrong: `${what} ${String(here)}, ${other.member} has ${String(there)}`,
    remedy: 'the same on both hosts: remove the network on one and create it again',
  })
  if (state === null) return { wrong: 'vxlan0 is gone', remedy: audited }
  if (!state.up) return { wrong: 'vxlan0 is down', remedy: audited }
  if (state.vni !== vni || state.port !== port || state.vtep !== vtep)
    return {
      wrong: `VNI ${state.vni}, port ${state.port}, from ${state.vtep}; not ${vni}, ${port}, ${vtep}`,
      remedy: audited,
    }
  const far = other.overlay!
  if (far.vni !== vni) return differs('VNI', vni, far.vni)
  if (far.port !== port) return differs('UDP port', port, far.port)
  if (far.encrypted !== overlay!.encrypted)
    return differs('encrypted:', overlay!.encrypted, far.encrypted)
  if (far.mtu !== mtu) return differs('MTU', mtu, far.mtu)
  return { found: `vxlan0 up, VNI ${vni}, UDP ${port}, MTU ${state.mtu}` }
}

/** The way to the other host: its route, and what the heartbeat through the tunnel has shown. */
function underlay(
  { other, overlay }: HostSnapshot,
  { member, vtep }: HostSnapshot,
  isExplained: boolean,
): Judgement {
  if (other === null || other.state === 'dead')
    return {
      wrong: `${member} does not answer gossip`,
      remedy: `"docker tsoverlay ping ${member}"; is the host up?`,
    }
  const { route, path } = other
  if (route === null)
    return { wrong: `no route to ${vtep}`, remedy: `"ip route get ${vtep}": add the route` }
  if (!route.up || !route.carrier)
    return { wrong: `${route.device} is down`, remedy: `ip link set dev ${route.device} up` }
  const way = `by ${route.device}, MTU ${route.mtu}`
  if (path === null || path.state === 'unknown')
    return { found: `${way}; not probed${overlay!.encrypted ? ': encrypted' : ' yet'}`, ok: null }
  const wrong = pathTexts[path.state]
  if (wrong === undefined) return { found: `${way}; probes pass, ${path.bytes ?? 0} bytes` }
  if (isExplained) return { found: `${way}; ${wrong}, see below`, ok: null }
  return { wrong: `${way}; ${wrong}`, remedy: pathRemedies[path.state]! }
}

const pathTexts: Readonly<Record<string, string>> = {
  blocked: 'VXLAN passes in neither direction',
  'one-way': 'VXLAN passes in one direction only',
  mtu: 'large packets are lost',
  loss: 'packets are lost',
}
const open = 'open the UDP port VXLAN_PORT (4789) between the hosts; "status" names the direction'
const pathRemedies: Readonly<Record<string, string>> = {
  blocked: open,
  'one-way': open,
  mtu: '"docker tsoverlay ping" finds the size that passes; repair the path or set MTU',
  loss: 'look for errors and drops on the links between the hosts: ip -s link',
}

/** Whether a host's filter lets frames of the other in. */
function admission({ overlay, other }: HostSnapshot, { vtep }: HostSnapshot): Judgement {
  const drops = `${overlay!.links?.tunnelDrops ?? 0} frames of others dropped`
  if (!overlay!.filtered) return { found: 'off', ok: null }
  if (other?.admitted !== true)
    return { wrong: `${vtep} is not admitted; ${drops}`, remedy: audited }
  return { found: `admits ${vtep}; ${drops}` }
}
