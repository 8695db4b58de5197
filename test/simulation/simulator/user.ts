import type { VirtualClock } from 'memberlist-js'
import { isBug } from '../../../src/base/errors.ts'
import { parseCidr } from '../../../src/net/cidr.ts'
import { below, pick, type Random } from '../../../src/base/random.ts'
import type { EngineNetwork } from './engine.ts'
import type { Host } from './host.ts'

/** The subnets of all networks: a small one that runs full, and larger ones. */
const subnets = ['10.0.0.0/27', '10.0.1.0/24', '10.0.2.0/24', 'fd00:1::/64'] as const

/** Networks with several subnets of both families, which run full and grow. */
const severalSubnets = [
  '10.0.4.0/29+10.0.5.0/28+fd00:4::/64+fd00:5::/64',
  '10.0.6.0/29+10.0.7.0/29',
  'fd00:6::/64',
] as const
/** What such a network is given besides. */
const moreSubnets = ['10.0.8.0/28', '10.0.9.0/28', 'fd00:8::/64'] as const

/** One with an address for every host, whatever the users have. */
export const roomySubnet = '10.3.0.0/16'
/** No more networks than this with a subnet of the plugin's choice, in all. */
const maxAutomatic = 4
/** No more containers than this in a host's networks. */
const maxContainers = 6

/** Somebody who types docker commands on a host, at random, until told to stop. Waits for no command but some. */
export class User {
  readonly #clock: VirtualClock
  readonly #host: Host
  readonly #hosts: readonly Host[]
  readonly #random: Random
  readonly #maxPauseMs: number
  readonly #hasSeveral: boolean
  #isDone = false

  constructor(
    clock: VirtualClock,
    host: Host,
    hosts: readonly Host[],
    random: Random,
    maxPauseMs: number,
    hasSeveral = false,
  ) {
    this.#hasSeveral = hasSeveral
    this.#hosts = hosts
    this.#clock = clock
    this.#host = host
    this.#random = random
    this.#maxPauseMs = maxPauseMs
  }

  async work(): Promise<void> {
    while (!this.#isDone) {
      this.#act()
      const ms = below(this.#random, this.#maxPauseMs)
      await new Promise<void>((resolve) => {
        this.#clock.setTimeout(() => {
          this.#clock.settle()
          resolve()
        }, ms)
      })
    }
  }

  stop(): void {
    this.#isDone = true
  }

  #act(): void {
    const random = this.#random
    const { engine } = this.#host
    const subnet = this.#someSubnet()
    const network = engine.networks.get(subnet)
    if (network === undefined) return void engine.createNetwork(subnet)
    const running = runningIn(network)
    const kind = below(random, 100)
    if (kind < 2) void this.#removeNetwork(network)
    else if (this.#hasSeveral && kind >= 95) this.#grow(network)
    else if (running.length < maxContainers && kind < 50)
      void engine.run(subnet, kind < 10 ? this.#someAddress(subnet) : '')
    else if (running.length > 0) {
      const container = pick(random, running)!
      if (kind < 60) void engine.kill(subnet, container)
      else if (kind < 75) void this.#restart(subnet, container)
      else void engine.stop(subnet, container)
    }
  }

  /** `docker tsoverlay network add-subnet`; each of the subnets is for one of the networks. */
  #grow({ networkId, subnet }: EngineNetwork): void {
    const index = severalSubnets.findIndex((several) => several === subnet)
    const driver = this.#host.process?.isReady ? this.#host.process.plugin?.network : undefined
    if (index < 0 || driver === undefined) return
    driver.addSubnet(networkId, parseCidr(moreSubnets[index]!)!).catch((error: unknown) => {
      if (isBug(error)) throw error
    })
  }

  async #restart(subnet: string, endpointId: string): Promise<void> {
    const { engine } = this.#host
    if (await engine.stop(subnet, endpointId)) await engine.run(subnet)
  }

  /** `docker compose down`: the containers, then the network. */
  async #removeNetwork(network: EngineNetwork): Promise<void> {
    const { engine } = this.#host
    await Promise.all(runningIn(network).map((id) => engine.stop(network.subnet, id)))
    await engine.removeNetwork(network.subnet)
  }

  /** Of those that are written down, or now and then one that the plugin chose here or on another host. */
  #someSubnet(): string {
    const random = this.#random
    if (this.#hasSeveral) return pick(random, severalSubnets)!
    if (below(random, 10) > 0) return pick(random, subnets)!
    const chosen = this.#hosts.flatMap(({ engine }) => [...engine.networks.keys()])
    const automatic = chosen.filter((subnet) => subnet.startsWith('10.1'))
    return automatic.length < maxAutomatic ? '' : pick(random, automatic)!
  }

  #someAddress(subnet: string): string {
    if (subnet.includes('+')) return ''
    const host = 2 + below(this.#random, 28)
    return subnet.replace(/0?\/\d+$/, subnet.includes(':') ? host.toString(16) : String(host))
  }
}

/** The endpoints of the containers that run. */
export function runningIn({ containers }: EngineNetwork): string[] {
  return [...containers.values()]
    .filter(({ isRunning }) => isRunning)
    .map(({ endpointId }) => endpointId)
}
