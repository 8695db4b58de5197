import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { silentLogger } from '../../src/base/logger.ts'
import type { RowChange, OverlayLinks } from '../../src/dataplane/dataplane.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import { pinName } from '../../src/dataplane/linux/netlink/names.ts'
import type { Ip } from '../../src/net/ip.ts'
import { type Mac, macOfIp } from '../../src/net/mac.ts'
import { overlayMtu } from '../../src/net/mtu.ts'
import type { Vni } from '../../src/net/vni.ts'
import type { NetnsLab } from './netns-lab.ts'
import { endpointLink } from '../support/endpoint-link.ts'

/** A container on an overlay: a namespace with the engine's part of the work done. */
export interface LabContainer {
  readonly netns: string
  readonly endpointId: string
  readonly overlayId: string
  readonly sourceName: string
  readonly ip: Ip
  readonly mac: Mac
}

/** Hosts on one underlay: a bridge in a namespace of its own. */
export class LabUnderlay {
  readonly lab: NetnsLab
  readonly #netns: string
  readonly #fastPath: boolean
  #hosts = 0

  private constructor(lab: NetnsLab, netns: string, fastPath: boolean) {
    this.lab = lab
    this.#netns = netns
    this.#fastPath = fastPath
  }

  /** `fastPath` is for all hosts. */
  static async create(lab: NetnsLab, fastPath = true): Promise<LabUnderlay> {
    const netns = await lab.namespace('underlay')
    await lab.run(netns, 'ip', 'link', 'add', 'wire', 'type', 'bridge', 'mcast_snooping', '0')
    await lab.run(netns, 'ip', 'link', 'set', 'wire', 'up')
    return new LabUnderlay(lab, netns, fastPath)
  }

  /** Plugs one more host in: 192.168.200.I, and fd00:200::I. `mtu` is the underlay's. */
  async addHost(mtu = 1500, fastPath = this.#fastPath): Promise<LabHost> {
    const number = ++this.#hosts
    const { lab } = this
    const netns = await lab.namespace(`host${number}`)
    const port = `port${number}`
    const veth = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', netns]
    await lab.run(this.#netns, 'ip', 'link', 'add', port, ...veth)
    await lab.run(
      this.#netns,
      'ip',
      'link',
      'set',
      port,
      'mtu',
      String(mtu),
      'master',
      'wire',
      'up',
    )
    await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'mtu', String(mtu), 'up')
    const vtep = `192.168.200.${number}` as Ip
    const vtep6 = `fd00:200::${number}` as Ip
    await lab.run(netns, 'ip', 'addr', 'add', `${vtep}/24`, 'dev', 'eth0')
    await lab.run(netns, 'ip', 'addr', 'add', `${vtep6}/64`, 'dev', 'eth0', 'nodad')
    await lab.forwarding(this.#netns)
    return LabHost.start(lab, { netns, vtep, vtep6, fastPath })
  }
}

interface HostParts {
  readonly netns: string
  readonly directory: string
  readonly vtep: Ip
  readonly vtep6: Ip
  readonly dataplane: LinuxDataplane
}

/** A host: a namespace, an underlay address, a data plane. */
export class LabHost implements HostParts {
  readonly netns: string
  readonly directory: string
  readonly vtep: Ip
  readonly vtep6: Ip
  readonly dataplane: LinuxDataplane
  readonly #lab: NetnsLab
  #containers = 0

  constructor(lab: NetnsLab, parts: HostParts) {
    this.#lab = lab
    this.netns = parts.netns
    this.directory = parts.directory
    this.vtep = parts.vtep
    this.vtep6 = parts.vtep6
    this.dataplane = parts.dataplane
  }

  /** A host whose network leads nowhere, for tests in which no frame leaves it. */
  static async alone(lab: NetnsLab): Promise<LabHost> {
    const netns = await lab.namespace('host1')
    const [vtep, vtep6] = ['192.168.200.1' as Ip, 'fd00:200::1' as Ip]
    const commands = [
      'ip link add eth0 type bridge',
      `ip addr add ${vtep}/24 dev eth0`,
      `ip addr add ${vtep6}/64 dev eth0 nodad`,
      'ip link set eth0 up',
    ]
    await lab.run(netns, 'sh', '-c', commands.join(' && '))
    return LabHost.start(lab, { netns, vtep, vtep6, fastPath: true })
  }

  /** Starts the data plane of a host that has its network. */
  static async start(
    lab: NetnsLab,
    parts: Pick<HostParts, 'netns' | 'vtep' | 'vtep6'> & { readonly fastPath: boolean },
  ): Promise<LabHost> {
    const directory = lab.folder(`pins-${basename(parts.netns)}`)
    const dataplane = new LinuxDataplane({
      directory,
      logger: silentLogger,
      hostNetns: parts.netns,
      sandboxDirectory: lab.directory,
      fastPath: parts.fastPath,
    })
    await dataplane.start()
    return new LabHost(lab, { ...parts, directory, dataplane })
  }

  /** The links of an overlay as this host has them, with the MTU that the underlay leaves. */
  async links(overlayId: string, vni: number, vtep = this.vtep): Promise<OverlayLinks> {
    const mtu = overlayMtu(await this.dataplane.underlayMtu(vtep), vtep)
    const gateways = ['10.30.0.1/16']
    return { overlayId, vni: vni as Vni, mtu, vtep, port: 4789, gateways }
  }

  /** The file of an overlay's namespace. */
  pin(overlayId: string): string {
    return join(this.directory, pinName(overlayId))
  }

  /** Join, and what the engine does after it. The overlay must be there. */
  async startContainer(
    links: OverlayLinks,
    ip: Ip,
    dataplane: LinuxDataplane = this.dataplane,
    pins = this.directory,
  ): Promise<LabContainer> {
    const { overlayId, mtu } = links
    const endpointId = `endpoint-${ip}-${++this.#containers}`
    const mac = macOfIp(ip)
    const link = endpointLink(endpointId, mac, { ips: [ip], mtu })
    const { sourceName } = await dataplane.ensureEndpoint(overlayId, link)
    const netns = await this.#lab.namespace(`c-${sourceName}`)
    const run = (...command: string[]) => this.#lab.run(netns, 'ip', ...command)
    await this.#lab.run(this.netns, 'ip', 'link', 'set', sourceName, 'netns', netns, 'name', 'eth0')
    const length = ip.includes(':') ? 64 : 16
    // As the engine does without IPv6; it also keeps the kernel's own multicasts out of counts.
    if (length === 16)
      await this.#lab.run(netns, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6')
    await run('addr', 'add', `${ip}/${length}`, 'dev', 'eth0', ...(length === 64 ? ['nodad'] : []))
    await run('link', 'set', 'eth0', 'up')
    await this.#lab.forwarding(join(pins, pinName(overlayId)))
    return { netns, endpointId, overlayId, sourceName, ip, mac }
  }

  /** What the engine does after Leave, then DeleteEndpoint. */
  async stopContainer(container: LabContainer): Promise<void> {
    const { netns, sourceName } = container
    await this.#lab.run(netns, 'ip', 'link', 'set', 'eth0', 'down')
    await this.#lab.run(netns, 'ip', 'link', 'set', 'eth0', 'name', sourceName)
    await this.#lab.run(netns, 'ip', 'link', 'set', sourceName, 'netns', this.netns)
    this.#lab.remove(netns)
    await this.dataplane.removeEndpoint(container.overlayId, container.endpointId)
  }

  /** Tells this host of a container on another one. */
  async learn(container: LabContainer, vtep: Ip, op: RowChange['op'] = 'set'): Promise<void> {
    const { mac, ip, overlayId } = container
    const rows: RowChange[] = [
      { op, kind: 'fdb', mac, vtep },
      { op, kind: 'neighbour', ip, mac },
    ]
    const failed = await this.dataplane.apply(overlayId, rows)
    if (failed.length > 0) throw new Error(failed[0]!.error)
    const { fdb } = (await this.dataplane.dump(overlayId))!
    await this.dataplane.setTunnelSources(overlayId, [...new Set(fdb.map((row) => row.vtep))])
  }

  /** Names of our links in this host's namespace, and files of pins. */
  async leftovers(): Promise<string[]> {
    const links = await this.#lab.json(this.netns, 'ip', 'link', 'show')
    const ours = links.filter((link) => link.ifalias?.startsWith('ts-overlay:'))
    return [...ours.map((link) => link.ifname), ...readdirSync(this.directory)]
  }

  async close(): Promise<void> {
    await this.dataplane.close()
  }
}
