import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { scaled } from './time.ts'

const run = promisify(execFile)

/** How long an agent may take to answer its first command. */
const START_MS = 10_000

/** Whether Debian's serf is there. */
export function serfInstalled(): boolean {
  return spawnSync('serf', ['version']).status === 0
}

/** Says in one line why a level of tests is left out. */
export function skipWithoutSerf(context: Mocha.Context): void {
  if (serfInstalled()) return
  process.stdout.write(
    '  interop with serf skipped: serf is not installed (apt-get install serf)\n',
  )
  context.skip()
}

/** A member as `serf members -format=json` shows it. */
export interface SerfMember {
  readonly name: string
  readonly addr: string
  readonly tags: Readonly<Record<string, string>>
  readonly status: 'alive' | 'leaving' | 'left' | 'failed'
}

/** One agent of HashiCorp's serf on a loopback address: a real Go peer. */
export class SerfAgent implements AsyncDisposable {
  readonly address: string
  readonly name: string
  readonly #process: ChildProcess
  #log = ''

  private constructor(name: string, address: string, process: ChildProcess) {
    this.name = name
    this.address = address
    this.#process = process
    const keep = (chunk: Buffer) => void (this.#log += chunk.toString())
    process.stdout?.on('data', keep)
    process.stderr?.on('data', keep)
  }

  /** Starts an agent and waits until it answers. `args` are further flags. */
  static async start(name: string, address: string, ...args: string[]): Promise<SerfAgent> {
    const flags = [`-node=${name}`, `-bind=${address}:7946`, `-rpc-addr=${address}:7373`]
    const child = spawn('serf', ['agent', ...flags, '-log-level=debug', ...args])
    const agent = new SerfAgent(name, address, child)
    const deadline = performance.now() + scaled(START_MS)
    while (!(await agent.#answers())) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`serf agent ${name} does not start:\n${agent.log}`)
      }
      await pause(50)
    }
    return agent
  }

  /** What it logged so far. */
  get log(): string {
    return this.#log
  }

  async members(): Promise<readonly SerfMember[]> {
    const { members } = JSON.parse(await this.command('members', '-format=json')) as {
      members: SerfMember[]
    }
    return members
  }

  /** The status that this agent gives to a member; `undefined` when it does not know it. */
  async statusOf(name: string): Promise<string | undefined> {
    return (await this.members()).find((member) => member.name === name)?.status
  }

  /** Runs a serf command against this agent and returns its output. */
  async command(verb: string, ...args: string[]): Promise<string> {
    const { stdout } = await run('serf', [verb, `-rpc-addr=${this.address}:7373`, ...args])
    return stdout
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /** SIGINT lets it say goodbye. */
  async leave(): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.signal('SIGINT')
    await exited
  }

  async #answers(): Promise<boolean> {
    return await this.command('info').then(
      () => true,
      () => false,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.signal('SIGKILL')
    await exited
  }
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** Waits until `holds()`; throws with `what` when it does not within `withinMs`, scaled. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + scaled(withinMs)
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await pause(50)
  }
}
