/**
 * A Docker Engine in a lab machine: containerd and dockerd as a service manager would run them, two
 * processes, so that containers and plugins outlive a killed dockerd as they do on a real host.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from './machine.ts'
import { until } from './processes.ts'
import { callUnixSocket, canConnect, type Answer } from './unix-http.ts'

const containerdSocket = '/run/containerd/containerd.sock'
const engineSocket = '/run/docker.sock'

/**
 * The engine waits for plugins and for containers that restart before it answers; a minute is the
 * sign of a hang.
 */
const startTimeoutMs = 60_000
/** dockerd itself gives containers 15 s and plugins 10 s to end. */
const stopTimeoutMs = 40_000
const callTimeoutMs = 30_000

export class Engine {
  readonly logFile: string
  readonly #machine: Machine
  readonly #flags: readonly string[]
  #dockerd: ChildProcess | undefined

  /** `flags` are added to dockerd's at every start. */
  constructor(machine: Machine, flags: readonly string[]) {
    this.#machine = machine
    this.#flags = flags
    this.logFile = path.join(machine.dir, 'dockerd.log')
  }

  /**
   * Starts containerd, where it does not run already, and dockerd, and waits until the API answers.
   */
  async start(flags: readonly string[] = []): Promise<void> {
    await this.#startContainerd()
    const known = ['--host', `unix://${engineSocket}`, '--containerd', containerdSocket]
    const command = ['dockerd', ...known, '--storage-driver', 'overlay2', ...this.#flags, ...flags]
    const dockerd = this.#spawn(command, this.logFile)
    this.#dockerd = dockerd
    await until(
      () => this.#answers(dockerd),
      `${this.#machine.name}: engine's answer`,
      startTimeoutMs,
    )
  }

  /**
   * Ends dockerd (not containerd, nor containers that the engine leaves running) and waits until it
   * is gone.
   */
  async kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const dockerd = this.#dockerd
    if (dockerd === undefined || hasEnded(dockerd)) return
    const shortName = signal.slice('SIG'.length)
    await this.#machine.exec(['sh', '-c', `kill -${shortName} $(cat /run/docker.pid)`])
    const ended = (): boolean => hasEnded(dockerd)
    await until(ended, `${this.#machine.name}: end of dockerd`, stopTimeoutMs)
    this.#dockerd = undefined
  }

  /** One call of the engine's API, with the newest version that the engine speaks. */
  async api(
    method: string,
    apiPath: string,
    body?: unknown,
    timeoutMs = callTimeoutMs,
  ): Promise<Answer> {
    const socket = this.#machine.path(engineSocket)
    return callUnixSocket(socket, method, apiPath, { body, timeoutMs })
  }

  /** What dockerd has written since the machine was made, plugins' output included. */
  async log(): Promise<string> {
    return readFile(this.logFile, 'utf8').catch(() => '')
  }

  async #startContainerd(): Promise<void> {
    const socket = this.#machine.path(containerdSocket)
    const runs = (): Promise<boolean> => canConnect(socket)
    if (await runs()) return
    this.#spawn(['containerd'], path.join(this.#machine.dir, 'containerd.log'))
    await until(runs, `${this.#machine.name}: containerd's socket`)
  }

  async #answers(dockerd: ChildProcess): Promise<boolean> {
    if (hasEnded(dockerd)) {
      const tail = (await this.log()).split('\n').slice(-12).join('\n')
      throw new Error(`${this.#machine.name}: dockerd ended at its start\n${tail}`)
    }
    const ping = await callUnixSocket(this.#machine.path(engineSocket), 'GET', '/_ping', {
      timeoutMs: startTimeoutMs,
    }).catch(() => undefined)
    if (ping?.status !== 200) await sleep(30)
    return ping?.status === 200
  }

  #spawn(command: readonly string[], logFile: string): ChildProcess {
    const [program, ...args] = this.#machine.enter(command)
    const log = openSync(logFile, 'a')
    const child = spawn(program!, args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' },
    })
    closeSync(log)
    child.unref()
    return child
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
