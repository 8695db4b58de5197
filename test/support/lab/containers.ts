/**
 * Containers by the engine's API: the calls that `docker run -d` and `docker rm -f` make, without
 * the client's process, so that hundreds cost little and the call's end is known to the
 * millisecond.
 */
import type { Host } from './host.ts'
import { labImage } from './image.ts'

/** A container that an engine says is running on a network. */
export interface Placed {
  readonly host: Host
  readonly id: string
  readonly name: string
  readonly ip: string
  readonly mac: string
}

interface NetworkJson {
  readonly Containers: Readonly<
    Record<string, { Name: string; MacAddress: string; IPv4Address: string }>
  >
}
interface ContainerJson {
  readonly State: { readonly Pid: number }
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>
  }
}

/** A busy machine may take long over a hundred starts at once. */
const callTimeoutMs = 120_000

/** What an engine in a swarm makes for itself. */
const engineNetworks: readonly string[] = ['docker_gwbridge', 'ingress']

async function call(on: Host, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await on.api(method, path, body, callTimeoutMs)
  if (answer.status < 300) return answer.body
  throw new Error(`${on.name}: ${method} ${path}: ${messageIn(answer.body)}`)
}

const messageIn = (body: unknown): string =>
  (body as { message?: string }).message ?? JSON.stringify(body)

/** Creates a container that sleeps; it gets its address when it starts, `ip` if that is given. */
export async function createContainer(
  on: Host,
  network: string,
  name: string,
  ip?: string,
): Promise<void> {
  const endpoint = ip === undefined ? {} : { IPAMConfig: { IPv4Address: ip } }
  await call(on, 'POST', `/containers/create?name=${name}`, {
    Image: labImage,
    Cmd: ['sleep', '3600'],
    HostConfig: { NetworkMode: network },
    NetworkingConfig: { EndpointsConfig: { [network]: endpoint } },
  })
}

/**
 * Starts what was created, or what an earlier start was refused for. The error has the engine's
 * message.
 */
export async function startContainer(on: Host, name: string): Promise<void> {
  await call(on, 'POST', `/containers/${name}/start`)
}

/** As `docker rm -f`. */
export async function removeContainer(on: Host, name: string): Promise<void> {
  await call(on, 'DELETE', `/containers/${name}?force=1`)
}

/** As `docker rm -f` of all containers, running or not. */
export async function removeContainers(on: Host): Promise<void> {
  const all = (await call(on, 'GET', '/containers/json?all=1')) as { Id: string }[]
  await Promise.all(
    all.map(({ Id }) => on.api('DELETE', `/containers/${Id}?force=1`, undefined, callTimeoutMs)),
  )
}

/**
 * As `docker network rm` of all networks that users made. A failure is none: another host may be
 * first, and then the plugin removes the network here.
 */
export async function removeNetworks(on: Host): Promise<void> {
  const filters = encodeURIComponent('{"type":["custom"]}')
  const all = (await call(on, 'GET', `/networks?filters=${filters}`)) as {
    Id: string
    Name: string
  }[]
  for (const { Id, Name } of all)
    if (!engineNetworks.includes(Name))
      await on.api('DELETE', `/networks/${Id}`, undefined, callTimeoutMs)
}

/** The address of a container on a network; empty when it has none. */
export async function addressIn(on: Host, network: string, name: string): Promise<string> {
  const inspected = (await call(on, 'GET', `/containers/${name}/json`)) as ContainerJson
  return inspected.NetworkSettings.Networks[network]?.IPAddress ?? ''
}

/** A running container's first process, as the host counts, and its address on the network. */
export async function inspectContainer(
  on: Host,
  network: string,
  name: string,
): Promise<{ pid: number; ip: string }> {
  const inspected = (await call(on, 'GET', `/containers/${name}/json`)) as ContainerJson
  return {
    pid: inspected.State.Pid,
    ip: inspected.NetworkSettings.Networks[network]!.IPAddress,
  }
}

/** As `docker network inspect`: what runs on the network on this host. */
export async function containersOn(host: Host, network: string): Promise<Placed[]> {
  const { Containers } = (await call(host, 'GET', `/networks/${network}`)) as NetworkJson
  return Object.entries(Containers).map(([id, { Name, MacAddress, IPv4Address }]) => ({
    host,
    id,
    name: Name,
    ip: IPv4Address.split('/')[0]!,
    mac: MacAddress,
  }))
}

/** Sets the kernel's parameters of neighbours (arp(7)) for a container's interface. */
export async function setArp(
  on: Host,
  pid: number,
  parameters: Readonly<Record<string, number>>,
): Promise<void> {
  const folder = '/proc/sys/net/ipv4/neigh/eth0'
  const script = Object.entries(parameters).map(
    ([name, value]) => `echo ${value} > ${folder}/${name}`,
  )
  await on.exec(['nsenter', `--net=/proc/${pid}/ns/net`, 'sh', '-euc', script.join('\n')])
}

/** One packet from within a container: whether an answer came in time. */
export async function pingsFrom(
  on: Host,
  pid: number,
  address: string,
  waitSeconds: number,
): Promise<boolean> {
  const ping = ['ping', '-q', '-c', '1', '-W', String(waitSeconds), address]
  const inside = ['nsenter', `--net=/proc/${pid}/ns/net`, ...ping]
  return (await on.exec(inside, { reject: false })).exitCode === 0
}
