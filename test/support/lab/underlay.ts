/**
 * The network between the lab's hosts: a machine of its own that is their switch, their default
 * gateway and the world outside, with cables that can be pulled and made to lose packets.
 */
import { Machine } from './machine.ts'
import { until } from './processes.ts'

/** Underlay addresses: host I has 192.168.200.I and fd00:c8::I. */
export const underlayPrefix = '192.168.200'
export const underlayPrefix6 = 'fd00:c8::'
export const gatewayAddress = `${underlayPrefix}.254`
/** An address that is only reached through the default gateway, for tests of egress. */
export const outsideAddress = '203.0.113.1'

export const underlayAddress = (index: number): string => `${underlayPrefix}.${index}`

const bridge = 'switch'
const portName = (index: number): string => `port${index}`

/**
 * Packet filter on the switch: `lost` holds one rule a lossy port, `cut` one a pair of hosts kept
 * apart.
 */
const filterRules = `
table bridge lab {
  chain lost { type filter hook forward priority 0; }
  chain cut { type filter hook forward priority 1; }
}
`

export class Underlay {
  readonly machine: Machine
  readonly #mtu: number
  readonly #lossPercent = new Map<number, number>()

  constructor(options: { root: string; labDir: string; keep: boolean; mtu: number }) {
    this.machine = new Machine({ ...options, name: 'outside' })
    this.#mtu = options.mtu
  }

  async start(): Promise<void> {
    await this.machine.start()
    const commands = [
      `link add ${bridge} mtu ${this.#mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `addr add ${gatewayAddress}/24 dev ${bridge}`,
      `addr add ${underlayPrefix6}fe/64 dev ${bridge} nodad`,
      `addr add ${outsideAddress}/32 dev lo`,
      `link set ${bridge} up`,
    ]
    await this.#ipBatch(this.machine, commands)
    await this.machine.exec(['nft', '-f', '-'], { input: filterRules })
  }

  /**
   * Gives the machine its `eth0`, address and default route, and puts the other end into the
   * switch.
   */
  async plug(machine: Machine, index: number): Promise<void> {
    const port = portName(index)
    // After a power cut the kernel removes the old cable with the old namespace, but not at once.
    await this.machine.exec(['ip', 'link', 'del', port], { reject: false })
    const mtu = String(this.#mtu)
    const link = ['link', 'add', port, 'mtu', mtu, 'type', 'veth']
    const peer = ['peer', 'name', 'eth0', 'mtu', mtu, 'netns', String(machine.initPid)]
    await this.machine.execFromOutside(['ip', ...link, ...peer])
    await this.#ipBatch(this.machine, [`link set ${port} master ${bridge} up`])
    await this.#ipBatch(machine, [
      `addr add ${underlayAddress(index)}/24 dev eth0`,
      `addr add ${underlayPrefix6}${index.toString(16)}/64 dev eth0 nodad`,
      'link set eth0 up',
      `route add default via ${gatewayAddress}`,
      `route add default via ${underlayPrefix6}fe`,
    ])
  }

  /** Pulls the host's cable: its `eth0` loses carrier. */
  async cutCable(index: number): Promise<void> {
    await this.machine.exec(['ip', 'link', 'set', portName(index), 'down'])
  }

  /**
   * Resolves when the switch forwards what comes through it. A worker of the kernel's sees to that
   * and to the host's carrier, and waits for its lock on links, which all hosts of the machine
   * share: it once took 3.9 s.
   */
  async mendCable(index: number): Promise<void> {
    const port = portName(index)
    await this.machine.exec(['ip', 'link', 'set', port, 'up'])
    await until(() => this.#forwards(port), `the switch: ${port} forwards`)
  }

  async #forwards(port: string): Promise<boolean> {
    const { stdout } = await this.machine.exec(['bridge', '-json', 'link', 'show', 'dev', port])
    const [link] = JSON.parse(stdout) as { state: string }[]
    return link?.state === 'forwarding'
  }

  /**
   * Drops this share of what the host sends and of what it is sent; 0 ends it. Only frames between
   * hosts count.
   */
  async setLoss(index: number, percent: number): Promise<void> {
    if (!(percent >= 0 && percent <= 100)) throw new Error(`loss of ${percent} percent`)
    if (percent === 0) this.#lossPercent.delete(index)
    else this.#lossPercent.set(index, percent)
    const rules = [...this.#lossPercent].flatMap(([host, share]) =>
      ['iifname', 'oifname'].map((end) => dropShare(end, portName(host), share)),
    )
    await this.#loadRules('lost', rules)
  }

  /**
   * Parts the cluster: hosts of different groups do not hear each other, though all have carrier.
   * No groups: whole again.
   */
  async partition(...groups: readonly (readonly number[])[]): Promise<void> {
    const rules = groups.flatMap((group) =>
      groups
        .filter((other) => other !== group)
        .flatMap((other) =>
          group.flatMap((from) => other.map((to) => dropBetween(portName(from), portName(to)))),
        ),
    )
    await this.#loadRules('cut', rules)
  }

  async #loadRules(chain: string, rules: readonly string[]): Promise<void> {
    const input = [`flush chain bridge lab ${chain}`, ...rules].join('\n')
    await this.machine.exec(['nft', '-f', '-'], { input })
  }

  async #ipBatch(machine: Machine, commands: readonly string[]): Promise<void> {
    await machine.exec(['ip', '-batch', '-'], { input: `${commands.join('\n')}\n` })
  }
}

const dropBetween = (from: string, to: string): string =>
  `add rule bridge lab cut iifname ${from} oifname ${to} drop`

const dropShare = (end: string, port: string, percent: number): string =>
  `add rule bridge lab lost ${end} ${port} numgen random mod 10000 < ${Math.round(percent * 100)} drop`
