/**
 * A Docker host of the lab: a machine on the underlay with an engine. What a test or a person does
 * on one host.
 */
import type { MethodSummary } from '../../../src/engine-api/call-statistics.ts'
import type { PluginStatus } from '../../../src/wiring/status.ts'
import { timeFactor } from '../time.ts'
import { Engine } from './engine.ts'
import type { EngineVersion } from './engines.ts'
import { labImage } from './image.ts'
import { Machine, type Ran, type RunOptions } from './machine.ts'
import { guest } from './paths.ts'
import { until } from './processes.ts'
import { underlayAddress, type Underlay } from './underlay.ts'
import { callUnixSocket, type Answer } from './unix-http.ts'

/** The name that the documentation uses for the managed plugin. */
export const pluginName = 'ts-overlay/ts-overlay'

/** Chosen beforehand for all hosts of a lab. */
export const labToken = '8f1c9a52d07e4b36a1f5c8d2907b6e43'
const legacySocket = '/run/docker/plugins/ts-overlay.sock'
const bundles = '/run/containerd/io.containerd.runtime.v2.task/plugins.moby'

/** What the plugin answers to `GET /status`. */
export type Status = PluginStatus & { readonly calls: Readonly<Record<string, MethodSummary>> }

export interface HostOptions {
  /** From 1: the last part of the underlay address. */
  readonly index: number
  readonly engine: EngineVersion
  readonly root: string
  readonly labDir: string
  readonly keep: boolean
  readonly engineFlags: readonly string[]
}

export class Host {
  readonly name: string
  readonly index: number
  readonly engineVersion: EngineVersion
  /** Underlay address. */
  readonly address: string
  readonly machine: Machine
  readonly #engine: Engine
  readonly #underlay: Underlay

  constructor(underlay: Underlay, options: HostOptions) {
    this.index = options.index
    this.name = `host${options.index}`
    this.address = underlayAddress(options.index)
    this.engineVersion = options.engine
    this.machine = new Machine({ ...options, name: this.name })
    this.#engine = new Engine(this.machine, options.engineFlags)
    this.#underlay = underlay
  }

  /** Power on: namespaces, cable, engine. */
  async boot(): Promise<void> {
    await this.machine.start()
    await this.#underlay.plug(this.machine, this.index)
    await this.#engine.start()
  }

  /** Pulls the plug. The disk stays. */
  async powerOff(): Promise<void> {
    await this.machine.stop()
  }

  /** A reboot without a shutdown: all processes die, /run is empty, the disk is as it was. */
  async reboot(): Promise<void> {
    await this.powerOff()
    await this.boot()
  }

  async killEngine(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    await this.#engine.kill(signal)
  }

  async startEngine(flags: readonly string[] = []): Promise<void> {
    await this.#engine.start(flags)
  }

  /** `docker ARGS` with the host's own client. */
  async docker(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.machine.exec(['docker', ...args], options)
  }

  /** Any command, in the host's namespaces and file system. */
  async exec(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.machine.exec(command, options)
  }

  /** One call of the engine's API; the default time-out is 30 s. */
  async api(method: string, path: string, body?: unknown, timeoutMs?: number): Promise<Answer> {
    return this.#engine.api(method, path, body, timeoutMs)
  }

  /** dockerd's log so far; plugins write into it. */
  async logs(): Promise<string> {
    return this.#engine.log()
  }

  /** Makes `lab:latest` out of an archive in the lab's folder. */
  async importImage(archiveName: string): Promise<void> {
    const file = `${guest.lab}/${archiveName}`
    await this.docker(['import', '--change', 'CMD ["sh"]', file, labImage])
  }

  async cutCable(): Promise<void> {
    await this.#underlay.cutCable(this.index)
  }

  /** Puts it back, and waits until the kernel has taken notice on both ends. */
  async mendCable(): Promise<void> {
    await this.#underlay.mendCable(this.index)
    await until(() => this.#hasCarrier(), `${this.name}: carrier`)
  }

  async #hasCarrier(): Promise<boolean> {
    const { stdout } = await this.exec(['ip', '-json', 'link', 'show', 'eth0'])
    const [link] = JSON.parse(stdout) as { operstate: string }[]
    return link?.operstate === 'UP'
  }

  /** Percent of the frames between this host and the others that are lost, each way; 0 ends it. */
  async setLoss(percent: number): Promise<void> {
    await this.#underlay.setLoss(this.index, percent)
  }

  /**
   * `docker plugin create`, `set` and `enable` from a folder of the checkout, as `make plugin`
   * leaves it.
   */
  async installPlugin(
    settings: Readonly<Record<string, string>> = {},
    options: { name?: string; folder?: string } = {},
  ): Promise<void> {
    const { name = pluginName, folder = `${guest.project}/build/plugin` } = options
    await this.docker(['plugin', 'create', name, folder])
    await this.setPlugin({ TOKEN: labToken, ...settings }, name)
    await this.enablePlugin(name)
  }

  /**
   * `docker plugin enable`. The engine gives a plugin some 12 s until it listens, and an emulated
   * machine needs more the first time.
   */
  async enablePlugin(name = pluginName): Promise<void> {
    for (let attempts = timeFactor; ; attempts--) {
      const enable = ['plugin', 'enable', '--timeout', '300', name]
      const { exitCode, stderr } = await this.docker(enable, { reject: false })
      if (exitCode === 0 || stderr.includes('already enabled')) return
      if (attempts <= 1 || !stderr.includes('connect: no such file'))
        throw new Error(`${this.name}: the plugin is not enabled: ${stderr}`)
    }
  }

  /** `docker plugin set`; the plugin must be disabled. JOIN comes with the token of the lab. */
  async setPlugin(settings: Readonly<Record<string, string>>, name = pluginName): Promise<void> {
    const token = 'JOIN' in settings ? { TOKEN: labToken } : {}
    const pairs = Object.entries({ ...token, ...settings }).map(([key, value]) => `${key}=${value}`)
    if (pairs.length > 0) await this.docker(['plugin', 'set', name, ...pairs])
  }

  /** The engine's id of the plugin. */
  async pluginId(name = pluginName): Promise<string> {
    const inspected = await this.docker(['plugin', 'inspect', '--format', '{{.Id}}', name])
    return inspected.stdout.trim()
  }

  /** The plugin's process, as the host counts. */
  async pluginPid(name = pluginName): Promise<number> {
    const id = await this.pluginId(name)
    const file = await this.exec(['cat', `${bundles}/${id}/init.pid`])
    return Number(file.stdout)
  }

  /**
   * Where the host has the plugin's `propagatedMount`: its state and its pinned network namespaces.
   */
  async pluginData(name = pluginName): Promise<string> {
    return `/var/lib/docker/plugins/${await this.pluginId(name)}/propagated-mount`
  }

  /** `GET PATH` on the plugin's legacy socket. */
  async pluginGet(path: string): Promise<Answer> {
    return this.pluginCall('GET', path)
  }

  /** A call of the admin API, as the command line makes it. */
  async pluginCall(method: string, path: string): Promise<Answer> {
    return callUnixSocket(this.machine.path(legacySocket), method, path)
  }

  /** What the plugin says of itself. */
  async pluginStatus(): Promise<Status> {
    const answer = await this.pluginGet('/status')
    if (answer.status !== 200) throw new Error(`${this.name}: /status answered ${answer.status}`)
    return answer.body as Status
  }

  /** Polls the plugin's status until it satisfies; the error shows the last one. */
  async pluginStatusWhen(
    satisfies: (status: Status) => boolean,
    timeoutMs = 10_000,
  ): Promise<Status> {
    let last: Status | undefined
    const isSo = async (): Promise<boolean> => satisfies((last = await this.pluginStatus()))
    await until(isSo, `${this.name}: another status`, timeoutMs, 50).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}`)
    })
    return last!
  }
}
