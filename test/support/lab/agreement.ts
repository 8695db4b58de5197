/**
 * An observer that believes nobody: compares what the engines, the plugins and the kernels say of
 * the same containers.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { scaled } from '../time.ts'
import type { Host, Status } from './host.ts'
import { overlayKernel, overlayPins } from './overlay-kernel.ts'

interface EngineNetwork {
  readonly Id: string
  readonly Name: string
  readonly Driver: string
  readonly IPAM: {
    readonly Driver: string
    readonly Config: readonly { readonly Subnet: string }[]
  }
  readonly Containers: Readonly<
    Record<string, { Name: string; EndpointID: string; MacAddress: string; IPv4Address: string }>
  >
}

/** What a host's engine and plugin say. */
interface View {
  readonly host: Host
  readonly status: Status
  readonly networks: readonly EngineNetwork[]
  /** The subnets of all networks with our address management, whoever's driver they have. */
  readonly subnets: readonly string[]
}

/** Waits until all agree, and returns on what they do not when they still don't. */
export async function disagreements(hosts: readonly Host[], patienceMs = 5000): Promise<string[]> {
  const deadline = performance.now() + scaled(patienceMs)
  for (;;) {
    const found = await lookOnce(hosts)
    if (found.length === 0 || performance.now() > deadline) return found
    await sleep(100)
  }
}

async function lookOnce(hosts: readonly Host[]): Promise<string[]> {
  const views = await Promise.all(hosts.map(viewOf))
  const found = await Promise.all(views.map((view) => differencesOf(view, views)))
  return found.flat()
}

/** As `docker network inspect` of all networks that users made; one that has just gone is left out. */
async function inspectNetworks(host: Host): Promise<EngineNetwork[]> {
  const filters = encodeURIComponent('{"type":["custom"]}')
  const { body } = await host.api('GET', `/networks?filters=${filters}`)
  const answers = await Promise.all(
    (body as { Id: string }[]).map(({ Id }) => host.api('GET', `/networks/${Id}`)),
  )
  return answers.flatMap((one) => (one.status === 200 ? [one.body as EngineNetwork] : []))
}

async function viewOf(host: Host): Promise<View> {
  const [status, all] = await Promise.all([host.pluginStatus(), inspectNetworks(host)])
  const networks = all.filter(({ Driver }) => isOurs(Driver))
  const subnets = all
    .filter(({ IPAM }) => isOurs(IPAM.Driver))
    .flatMap(({ IPAM }) => IPAM.Config.map(({ Subnet }) => Subnet))
  return { host, status, networks, subnets }
}

const isOurs = (driver: string): boolean => driver.startsWith('ts-overlay')

async function differencesOf(view: View, views: readonly View[]): Promise<string[]> {
  const { host, status, networks, subnets } = view
  const found: string[] = []
  const differ = (what: string, engine: readonly string[], ours: readonly string[]): void => {
    const only = (some: readonly string[], others: readonly string[]): string =>
      some.filter((one) => !others.includes(one)).join(', ') || 'none'
    if (engine.toSorted().join() === ours.toSorted().join()) return
    found.push(
      `${host.name}: ${what}: the engine alone has ${only(engine, ours)}; the plugin alone ${only(ours, engine)}`,
    )
  }
  differ(
    'networks',
    networks.map(({ Id }) => Id),
    status.overlays.map(({ networkId }) => networkId),
  )
  const { pools } = status.ipam
  // A key is a subnet, and behind a space what the user tells such pools apart by.
  differ(
    'pools',
    subnets,
    pools.map(({ poolKey }) => poolKey.split(' ')[0]!),
  )
  found.push(...(await strayNamespaces(view)))
  for (const { Id, Name, Containers, IPAM } of networks) {
    const overlay = status.overlays.find(({ networkId }) => networkId === Id)
    if (overlay === undefined) continue
    const engine = Object.values(Containers)
    differ(
      `endpoints of ${Name}`,
      engine.map((e) => `${e.EndpointID} ${e.MacAddress} ${e.IPv4Address}`),
      overlay.endpoints.map((e) => `${e.endpointId} ${e.mac} ${e.addresses[0]}`),
    )
    for (const { endpointId, joined } of overlay.endpoints)
      if (!joined) found.push(`${host.name}: endpoint ${endpointId} of ${Name} is not joined`)
    if (isOurs(IPAM.Driver)) {
      const leases = pools
        .filter(({ networkId }) => networkId === Id)
        .flatMap((pool) => pool.leases.filter(({ kind }) => kind === 'container'))
      differ(
        `leases of ${Name}`,
        engine.map((e) => e.IPv4Address.split('/')[0]!),
        leases.map(({ ip }) => ip),
      )
    }
    found.push(...recordDifferences(view, overlay, views))
    found.push(...(await kernelDifferences(view, overlay, views)))
  }
  return [...found, ...doubles(view, views)]
}

/** An overlay has a namespace while it has endpoints, and for a moment afterwards. */
async function strayNamespaces({ host, status }: View): Promise<string[]> {
  const pins = await overlayPins(host)
  const inUse = status.overlays.filter(({ endpoints }) => endpoints.length > 0)
  if (pins.length === inUse.length) return []
  return [`${host.name}: ${pins.length} namespaces, ${inUse.length} overlays with endpoints`]
}

/** What the host was told of the others' endpoints, by their records. */
function recordDifferences({ host }: View, overlay: Overlay, views: readonly View[]): string[] {
  const wanted = views
    .filter((other) => other.host !== host)
    .flatMap(({ status }) => status.overlays.filter(({ vni }) => vni === overlay.vni))
    .flatMap(({ endpoints }) => endpoints.map((e) => `${e.mac} ${e.addresses[0]!.split('/')[0]}`))
  const has = overlay.peers.map(({ mac, ips }) => `${mac} ${ips[0]}`)
  return [
    ...wanted.filter((row) => !has.includes(row)).map((row) => `no record of ${row}`),
    ...has.filter((row) => !wanted.includes(row)).map((row) => `a record of ${row}, which is not`),
  ].map((row) => `${host.name}: ${overlay.overlayId}: ${row}`)
}

/** Addresses that a container of this host and another container have, by what the engines say. */
function doubles(view: View, views: readonly View[]): string[] {
  const addressesOf = ({ networks: some }: View): string[] =>
    some.flatMap(({ Name, Containers }) =>
      Object.values(Containers).map(({ IPv4Address }) => `${Name} ${IPv4Address}`),
    )
  const all = views.flatMap(addressesOf)
  const here = addressesOf(view)
  return here
    .filter((address) => all.filter((other) => other === address).length > 1)
    .map((address) => `${view.host.name}: more than one container has ${address}`)
}

type Overlay = Status['overlays'][number]

/** What the kernel has of the other hosts' endpoints, where this host has one itself. */
async function kernelDifferences(
  { host }: View,
  overlay: Overlay,
  views: readonly View[],
): Promise<string[]> {
  if (overlay.endpoints.length === 0) return []
  const kernel = await overlayKernel(host, overlay.vni)
  if (kernel === undefined)
    return [`${host.name}: overlay ${overlay.overlayId} has no VXLAN device`]
  const wanted: string[] = []
  for (const other of views) {
    if (other.host === host) continue
    const there = other.status.overlays.find(({ vni }) => vni === overlay.vni)
    for (const { mac, addresses } of there?.endpoints ?? []) {
      wanted.push(`${mac} is behind ${other.host.address}`)
      for (const address of addresses) wanted.push(`${address.split('/')[0]} is ${mac}`)
    }
  }
  const has = [
    ...kernel.fdb
      .filter(({ mac }) => mac !== '00:00:00:00:00:00')
      .map(({ mac, dst }) => `${mac} is behind ${dst}`),
    ...kernel.neighbours.map(({ dst, lladdr }) => `${dst} is ${lladdr}`),
  ]
  return [
    ...wanted.filter((row) => !has.includes(row)).map((row) => `not in the kernel: ${row}`),
    ...has.filter((row) => !wanted.includes(row)).map((row) => `wrong in the kernel: ${row}`),
  ].map((row) => `${host.name}: ${overlay.overlayId}: ${row}`)
}
