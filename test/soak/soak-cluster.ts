/**
 * The hosts of a soak: three engines with the plugin, one network, and on each host an anchor, a
 * container that always comes back with the same address, from which everything else is reached.
 */
import { execa } from 'execa'
import { setTimeout as sleep } from 'node:timers/promises'
import { disagreements } from '../support/lab/agreement.ts'
import type { EngineVersion } from '../support/lab/engines.ts'
import type { Host } from '../support/lab/host.ts'
import { labImage } from '../support/lab/image.ts'
import { Lab } from '../support/lab/lab.ts'
import { projectDir } from '../support/lab/paths.ts'
import { untilKernelsMeet } from '../support/lab/underlay-neighbours.ts'
import { scaled } from '../support/time.ts'
import type { Tallies } from './tallies.ts'

export const network = 'soak'
const subnet = '10.90.0.0/20'
/** Short, so that what is forgotten is released within a check. */
const settings = { ORPHAN_AFTER: '10s', AUDIT_SECONDS: '5' }
/**
 * Engines, plugins and membership have that long to be as they should be once nothing disturbs
 * them.
 */
const calmWithinMs = 60_000
/** The grace period for what was forgotten, its looks, and the engines' own tidying up. */
const agreeWithinMs = 45_000
const command = ['sleep', '86400']

export class SoakCluster {
  readonly lab: Lab
  readonly #tallies: Tallies

  private constructor(lab: Lab, tallies: Tallies) {
    this.lab = lab
    this.#tallies = tallies
  }

  static async build(engines: readonly EngineVersion[], tallies: Tallies): Promise<SoakCluster> {
    await execa('node', ['--conditions=source', 'plugin/build.ts'], { cwd: projectDir })
    const lab = await Lab.create({ hosts: engines.length, engine: engines })
    const [first, ...others] = lab.hosts
    await first!.installPlugin(settings)
    await Promise.all(others.map((on) => on.installPlugin({ ...settings, JOIN: first!.address })))
    const cluster = new SoakCluster(lab, tallies)
    await Promise.all(lab.hosts.map((on) => cluster.#untilAllAlive(on)))
    const local = ['--label', 'ts-overlay.local=true']
    const ours = ['-d', 'ts-overlay', '--ipam-driver', 'ts-overlay', '--subnet', subnet, ...local]
    for (const on of lab.hosts) {
      await on.docker(['network', 'create', ...ours, network])
      await cluster.run(on, cluster.anchor(on), [
        '--restart',
        'always',
        '--ip',
        cluster.anchorAddress(on),
      ])
    }
    return cluster
  }

  get hosts(): readonly Host[] {
    return this.lab.hosts
  }

  anchor(on: Host): string {
    return `anchor${on.index}`
  }

  anchorAddress(on: Host): string {
    return `10.90.0.${10 + on.index}`
  }

  /** `docker run -d`; the container's only process takes no notice of a signal to end. */
  async run(on: Host, name: string, args: readonly string[]): Promise<void> {
    const options = ['--name', name, '--network', network, '--stop-timeout', '1', ...args]
    await on.docker(['run', '-d', ...options, labImage, ...command], { timeout: 40_000 })
  }

  /**
   * The names of the host's containers; none while its engine does not answer or the host is down.
   */
  async containers(on: Host): Promise<string[]> {
    const list = ['ps', '--all', '--format', '{{.Names}}']
    const listed = await on.docker(list, { timeout: 20_000 }).catch(() => ({ stdout: '' }))
    return listed.stdout.split('\n').filter(Boolean)
  }

  /**
   * Waits until nothing is in motion any more, then has the observer look, and tries what has to
   * work.
   */
  async check(): Promise<void> {
    try {
      await Promise.all(this.hosts.map((on) => this.#untilAllAlive(on)))
    } catch (error) {
      this.#tallies.violation(String(error))
    }
    const found = await disagreements(this.hosts, agreeWithinMs)
    for (const line of found) this.#tallies.violation(line)
    const [addresses, problems] = await this.#runningAddresses()
    for (const line of problems) this.#tallies.violation(line)
    await this.#untilKernelsMeet()
    for (const on of this.hosts) await this.#reachAll(on, addresses)
    for (const on of this.hosts) await this.#tryNewContainer(on)
    this.#tallies.count('checks by the observer')
    this.#tallies.note(`checked: ${addresses.length} containers`)
  }

  async #untilAllAlive(on: Host): Promise<void> {
    const deadline = performance.now() + scaled(calmWithinMs)
    for (;;) {
      const status = await on.pluginStatus().catch(() => null)
      const alive = status?.members.filter(({ state }) => state === 'alive').length
      if (alive === this.hosts.length) return
      if (performance.now() > deadline)
        throw new Error(
          `${on.name} sees after ${calmWithinMs} ms: ${JSON.stringify(status?.members)}`,
        )
      await sleep(100)
    }
  }

  async #untilKernelsMeet(): Promise<void> {
    try {
      await untilKernelsMeet(this.hosts)
    } catch (error) {
      this.#tallies.violation(String(error))
    }
  }

  /** All addresses on the network, and anchors that did not come back. */
  async #runningAddresses(): Promise<[string[], string[]]> {
    const addresses: string[] = []
    const problems: string[] = []
    for (const on of this.hosts) {
      const format = '{{range .Containers}}{{.Name}} {{.IPv4Address}}\n{{end}}'
      const inspected = await on.docker(['network', 'inspect', '--format', format, network])
      const rows = inspected.stdout
        .split('\n')
        .filter(Boolean)
        .map((row) => row.split(/[ /]/))
      const anchor = rows.find(([name]) => name === this.anchor(on))?.[1]
      if (anchor !== this.anchorAddress(on))
        problems.push(
          `${this.anchor(on)} has ${anchor ?? `not come back: ${await this.#whyNot(on)}`}`,
        )
      addresses.push(...rows.map(([, address]) => address!))
    }
    return [addresses, problems]
  }

  /** What the engine says of an anchor that does not run. */
  async #whyNot(on: Host): Promise<string> {
    const state = ['inspect', '--format', '{{json .State}}', this.anchor(on)]
    const { stdout, stderr } = await on.docker(state, { reject: false })
    return (stdout + stderr).trim()
  }

  /** One packet to each container; the first has to be answered. */
  async #reachAll(from: Host, addresses: readonly string[]): Promise<void> {
    const script = `for a in ${addresses.join(' ')}; do /usr/bin/ping -c 1 -W 2 $a > /dev/null || echo $a; done`
    const words = ['exec', this.anchor(from), 'sh', '-c', script]
    const { stdout, stderr, exitCode } = await from.docker(words, { reject: false })
    this.#tallies.count('first packets, each to a container from each host', addresses.length)
    for (const address of stdout.split('\n').filter(Boolean))
      this.#tallies.violation(`${from.name} does not reach ${address}`)
    if (exitCode !== 0) this.#tallies.violation(`${from.name}: ${this.anchor(from)}: ${stderr}`)
  }

  async #tryNewContainer(on: Host): Promise<void> {
    try {
      await this.run(on, 'trial', [])
      await on.docker(['rm', '-f', 'trial'])
      this.#tallies.count('containers started and removed while all was calm')
    } catch (error) {
      this.#tallies.violation(`${on.name}: a new container does not start: ${String(error)}`)
    }
  }
}
