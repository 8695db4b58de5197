/**
 * The real plugin as a process of its own: the bundle that the image has, in a network and a mount
 * namespace of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { buildPage } from '../../plugin/build-page.ts'
import { bundle, copyKoffi } from '../../plugin/bundle.ts'
import { writeLauncher } from '../../plugin/launcher.ts'
import type { Status } from './lab/host.ts'
import { projectDir } from './lab/paths.ts'
import { until } from './lab/processes.ts'
import { callUnixSocket } from './lab/unix-http.ts'

/** The program in a folder of its own, which goes with this process. */
export interface Program {
  readonly folder: string
}

let program: Promise<Program> | undefined

/**
 * Bundles the program, once for all tests of this process. `PLUGIN_PROGRAM` is the folder of one that
 * was built before: an emulated machine takes minutes.
 */
export function bundleProgram(): Promise<Program> {
  const built = process.env['PLUGIN_PROGRAM']
  if (built !== undefined) return Promise.resolve({ folder: built })
  return (program ??= bundleOnce())
}

async function bundleOnce(): Promise<Program> {
  const folder = await mkdtemp(path.join(tmpdir(), 'ts-overlay-program-'))
  const files = {
    main: 'src/main.ts',
    resolver: 'src/resolver.ts',
    rights: 'src/rights.ts',
    cli: 'packages/cli/src/main.ts',
  }
  const entries = Object.entries(files).map(([name, file]) => [name, path.join(projectDir, file)])
  await bundle(Object.fromEntries(entries) as Record<string, string>, folder)
  await copyKoffi(folder)
  await buildPage(folder)
  await cp(path.join(projectDir, 'plugin/start.cjs'), path.join(folder, 'start.cjs'))
  await writeLauncher(folder)
  return { folder }
}

export interface PluginProcessOptions {
  readonly program: Program
  /** The file of the network namespace that is to be the host's. */
  readonly netns: string
  /** The file of the mount namespace to run in; without it the plugin gets a new one. */
  readonly mounts?: string
  /** Where state and sockets go. */
  readonly folder: string
  readonly env?: Readonly<Record<string, string>>
  /** Bytes, when the state is to lie on a file system of that size. It goes with the process. */
  readonly diskBytes?: number
}

/** A host's plugin, from its start to its end. */
export class PluginProcess {
  readonly managed: string
  /** The socket that the command line asks. */
  readonly socket: string
  /**
   * Milliseconds from the start of the process to its first answer, less those in which it could
   * have gone on and other programs had the processors.
   */
  answeredAfterMs = 0
  readonly #child: ChildProcess
  readonly #stateDir: string
  #said = ''

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child
    this.#stateDir = path.join(folder, 'state')
    this.managed = path.join(folder, 'managed.sock')
    this.socket = path.join(folder, 'plugins/ts-overlay.sock')
    child.stderr!.on('data', (chunk: Buffer) => (this.#said += chunk.toString()))
  }

  /** Starts it and waits until it answers. Rejects with what it said when it ends instead. */
  static async start(options: PluginProcessOptions): Promise<PluginProcess> {
    const { program, netns, mounts, folder, env = {}, diskBytes } = options
    for (const name of ['state', 'plugins'])
      await mkdir(path.join(folder, name), { recursive: true })
    const node = path.join(projectDir, 'node_modules/.bin/node')
    const mount = `mount -t tmpfs -o size=${diskBytes},mode=700 tmpfs ${folder}/state && `
    const script = `${diskBytes === undefined ? '' : mount}exec ${program.folder}/launcher ${node} ${program.folder}/start.cjs`
    const enter =
      mounts === undefined
        ? [`--net=${netns}`, 'unshare', '--mount']
        : [`--net=${netns}`, `--mount=${mounts}`]
    const child = spawn('nsenter', [...enter, 'sh', '-c', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        STATE_DIR: path.join(folder, 'state'),
        LEGACY_SOCKET_DIR: path.join(folder, 'plugins'),
        MANAGED_SOCKET: path.join(folder, 'managed.sock'),
        ...env,
      },
    })
    const plugin = new PluginProcess(child, folder)
    const started = performance.now()
    await until(() => plugin.#answers(), 'the first answer', 20_000, 5)
    plugin.answeredAfterMs = performance.now() - started - (await waitedMs(child.pid!))
    return plugin
  }

  /** What it wrote on its standard error so far. */
  get said(): string {
    return this.#said
  }

  /** A file of its state, as this process can open it. */
  stateFile(name: string): string {
    return path.join('/proc', String(this.#child.pid), 'root', this.#stateDir, name)
  }

  /** Its second socket opens a moment after the first, in place of the one of an earlier life. */
  async status(): Promise<Status> {
    let status: Status | null = null
    const ask = async (): Promise<boolean> => {
      const answer = await callUnixSocket(this.socket, 'GET', '/status').catch(() => null)
      status = (answer?.body ?? null) as Status | null
      return status !== null
    }
    await until(ask, 'an answer of /status', 5000, 5)
    return status!
  }

  /** A request of the admin API that has to succeed. */
  async admin(method: 'POST' | 'DELETE', route: string): Promise<void> {
    const { status, body } = await callUnixSocket(this.socket, method, route)
    if (status !== 200) throw new Error(`${method} ${route}: ${status} ${JSON.stringify(body)}`)
  }

  /** Runs a command in its namespaces. */
  async exec(...command: string[]): Promise<string> {
    const target = ['--target', String(this.#child.pid), '--net', '--mount']
    return (await execa('nsenter', [...target, ...command])).stdout
  }

  /** Resolves when it has ended by itself. */
  async ended(): Promise<void> {
    if (!this.#hasEnded) await once(this.#child, 'exit')
  }

  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.#hasEnded) return
    this.#child.kill(signal)
    await once(this.#child, 'exit')
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async #answers(): Promise<boolean> {
    const hasFailed = /^ts-overlay: .* \[[A-Z_]+\]$/m.test(this.#said)
    if (hasFailed) await this.end()
    if (this.#hasEnded) throw new Error(`the plugin ended: ${this.#said}`)
    const call = callUnixSocket(this.managed, 'POST', '/NetworkDriver.GetCapabilities')
    return (await call.catch(() => null))?.status === 200
  }
}

/** How long the process's main thread was ready to run and waited for a processor. */
async function waitedMs(pid: number): Promise<number> {
  const [, waitedNs] = (await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')
  return Number(waitedNs) / 1e6
}
