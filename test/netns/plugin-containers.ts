/** Containers of whole plugins: namespaces, with links as the engine configures them. */
import { basename } from 'node:path'
import { until } from '../support/lab/processes.ts'
import type { NetnsLab } from './netns-lab.ts'
import type { PluginHost } from './plugin-hosts.ts'

export interface RunningContainer {
  readonly name: string
  readonly netns: string
  readonly endpointId: string
  /** Without their lengths. */
  readonly ips: readonly string[]
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
}

export class PluginContainers {
  readonly #lab: NetnsLab
  readonly #sandboxes: ReadonlyMap<string, string>

  private constructor(lab: NetnsLab, sandboxes: ReadonlyMap<string, string>) {
    this.#lab = lab
    this.#sandboxes = sandboxes
  }

  /** Sandboxes for containers of these names; before the plugins start, which see those mounts. */
  static async create(lab: NetnsLab, names: readonly string[]): Promise<PluginContainers> {
    const sandboxes = new Map<string, string>()
    for (const name of names) sandboxes.set(name, await lab.namespace(name))
    return new PluginContainers(lab, sandboxes)
  }

  /** `docker run`, with these addresses or any; and what the engine does with the link. */
  async run(
    host: PluginHost,
    name: string,
    wanted: readonly string[] = [],
  ): Promise<RunningContainer> {
    const netns = this.#sandboxes.get(name)!
    const sandbox = `/var/run/docker/netns/${basename(netns)}`
    const started = await host.story.start(name, wanted, sandbox)
    const { endpointId, link, addresses, routes } = started
    await this.#lab.run(host.netns, 'ip', 'link', 'set', link, 'netns', netns, 'name', 'eth0')
    const ips = addresses.map((address) => address.split('/')[0]!)
    const container = { name, netns, endpointId, ips, addresses, routes }
    for (const address of addresses)
      await this.in(container, 'ip', 'addr', 'add', address, 'dev', 'eth0', 'nodad')
    await this.in(container, 'ip', 'link', 'set', 'eth0', 'up')
    await this.in(container, 'ip', 'link', 'set', 'lo', 'up')
    for (const route of routes) await this.in(container, 'ip', 'route', 'add', route, 'dev', 'eth0')
    return container
  }

  /** Runs a command in a container. */
  in({ netns }: { readonly netns: string }, ...command: string[]): Promise<string> {
    return this.#lab.run(netns, ...command)
  }

  /** How many of the pings to a container's addresses of the families that both have were lost. */
  async lost(from: RunningContainer, to: RunningContainer): Promise<number> {
    let lost = 0
    for (const ip of to.ips) {
      const isCommon = from.ips.some((own) => own.includes(':') === ip.includes(':'))
      if (isCommon && !(await this.#lab.ping(from.netns, ip))) lost++
    }
    return lost
  }

  /** The TTL of the answer to a ping. */
  async timeToLive(from: RunningContainer, ip: string): Promise<number> {
    const output = await this.in(from, 'ping', '-n', '-c', '1', '-W', '5', ip)
    return Number(/ttl=(\d+)/.exec(output)?.[1])
  }

  /** Waits until a container has its link and its addresses again. */
  async linked(container: RunningContainer): Promise<void> {
    const has = async (): Promise<boolean> => {
      const text = await this.in(container, 'ip', '-o', 'addr', 'show', 'up')
      return container.addresses.every((address) => text.includes(address))
    }
    await until(has, `${container.name} to have its link again`, 60_000, 100)
  }
}
