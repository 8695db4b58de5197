/**
 * A machine of the lab: a process tree in namespaces of its own, with a Debian root file system.
 *
 * Invariant: everything a machine is made of (processes, mounts, network devices) hangs on its
 * first process. When that one ends the kernel removes the rest, so nothing can be left behind but
 * files. Unless the lab is to be kept, the first process itself ends with ours, even if we are
 * killed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, closeSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { scaled } from '../time.ts'
import { projectDir } from './paths.ts'
import { childrenOf, killMarked, markProcess, type ProcessMark } from './processes.ts'

/** In a machine's folder: the process whose end is the machine's end. */
const holderFile = 'holder.json'

export interface MachineOptions {
  readonly name: string
  /** Root file system, shared with other machines. */
  readonly root: string
  /** The lab's folder; the machine's own is `labDir/name`. */
  readonly labDir: string
  /** Outlive this process. */
  readonly keep: boolean
}

export interface RunOptions {
  /** Text or bytes for standard input. */
  readonly input?: string | Uint8Array
  /** Milliseconds, scaled; default 60 s. */
  readonly timeout?: number
  /** false: a failure is returned and not thrown. */
  readonly reject?: boolean
  /** Environment variables besides PATH, HOME and LANG. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Ran {
  readonly stdout: string
  readonly stderr: string
  /** -1 when the program was ended by a signal or the time-out. */
  readonly exitCode: number
  readonly durationMs: number
}

const defaultTimeoutMs = 60_000
/** What `timeout --signal=KILL` ends with when the time is up. */
const timedOutCode = 137
const namespaces = ['--mount', '--net', '--uts', '--ipc', '--pid'] as const
const guestEnv = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
}

export class Machine {
  readonly name: string
  readonly dir: string
  readonly #options: MachineOptions
  #holder: ProcessMark | undefined
  #initPid = 0

  constructor(options: MachineOptions) {
    this.#options = options
    this.name = options.name
    this.dir = path.join(options.labDir, options.name)
  }

  /**
   * The machine's first process as the real machine counts; `/proc/PID/root` is the machine's file
   * system.
   */
  get initPid(): number {
    if (this.#initPid === 0) throw new Error(`${this.name} is not running`)
    return this.#initPid
  }

  /** A path of the machine as this process can open it: files, and unix sockets too. */
  path(inside: string): string {
    return path.join(`/proc/${this.initPid}/root`, inside)
  }

  async start(): Promise<void> {
    const { name, root, labDir, keep } = this.#options
    await mkdir(this.dir, { recursive: true })
    const script = path.join(import.meta.dirname, 'machine-init.sh')
    const unshare = ['unshare', ...namespaces, '--fork', '--kill-child=KILL']
    const init = ['sh', script, root, this.dir, name, labDir, projectDir]
    const command = keep
      ? [...unshare, ...init]
      : ['setpriv', '--pdeathsig', 'KILL', ...unshare, ...init]
    const log = openSync(path.join(this.dir, 'machine.log'), 'a')
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ['ignore', 'pipe', log],
      detached: true,
      env: guestEnv,
    })
    closeSync(log)
    const outcome = await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')])
    child.unref()
    child.stdout!.destroy()
    if (!String(outcome[0]).startsWith('ready')) {
      throw new Error(`${name} did not start: ${await this.#logText()}`)
    }
    this.#holder = await markProcess(child.pid!)
    await writeFile(path.join(this.dir, holderFile), JSON.stringify(this.#holder))
    const [initPid] = await childrenOf(child.pid!)
    if (initPid === undefined) throw new Error(`${name} ended at once: ${await this.#logText()}`)
    this.#initPid = initPid
  }

  /** Power off, as by pulling the plug. What lies in the machine's folder stays. */
  async stop(): Promise<void> {
    if (this.#holder === undefined) return
    const init = await markProcess(this.#initPid).catch(() => undefined)
    await killMarked(this.#holder)
    if (init !== undefined) await killMarked(init)
    this.#holder = undefined
    this.#initPid = 0
  }

  /** Command line that runs a command in the machine. */
  enter(command: readonly string[], which: readonly string[] = namespaces): string[] {
    return ['nsenter', '--target', String(this.initPid), ...which, ...command]
  }

  /**
   * Runs a command in the machine and waits for its end. Throws an error with its output when it
   * fails.
   */
  async exec(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
    // The time-out must act inside: killing nsenter would not end what it started.
    const seconds = String(scaled(options.timeout ?? defaultTimeoutMs) / 1000)
    const bounded = ['timeout', '--signal=KILL', seconds, ...command]
    return run(this.enter(bounded), `${this.name}: ${command.join(' ')}`, options)
  }

  /**
   * Runs a program of the real machine in this machine's network, where process ids are the real
   * machine's.
   */
  async execFromOutside(command: readonly string[]): Promise<Ran> {
    return run(this.enter(command, ['--net']), `${this.name}: ${command.join(' ')}`, {})
  }

  async #logText(): Promise<string> {
    return (await readFile(path.join(this.dir, 'machine.log'), 'utf8')).trim()
  }
}

/** Ends the machines of a lab's folder, also those that another process of ours has made. */
export async function stopMachines(labDir: string): Promise<void> {
  const names = await readdir(labDir).catch(() => [])
  await Promise.all(
    names.map(async (name) => {
      const text = await readFile(path.join(labDir, name, holderFile), 'utf8').catch(
        () => undefined,
      )
      if (text !== undefined) await killMarked(JSON.parse(text) as ProcessMark)
    }),
  )
}

async function run(command: readonly string[], what: string, options: RunOptions): Promise<Ran> {
  const result = await execa(command[0]!, command.slice(1), {
    reject: false,
    env: { ...guestEnv, ...options.env },
    extendEnv: false,
    cwd: '/',
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
  })
  if (result.failed && options.reject !== false) {
    const why =
      result.exitCode === timedOutCode ? 'killed or out of time' : `exit ${result.exitCode}`
    const after = `${why} after ${Math.round(result.durationMs)} ms`
    throw new Error(`${what}: ${after}\n${result.stdout}\n${result.stderr}`)
  }
  return {
    stdout: result.stdout,
    stderr: result.stderr,
    exitCode: result.exitCode ?? -1,
    durationMs: result.durationMs,
  }
}
