/** A container that pings another without a pause, to tell what a disturbance costs traffic. */
import type { Host } from './host.ts'
import { labImage } from './image.ts'

/** Milliseconds between two requests. The next one also waits for no answer. */
export const pingEveryMs = 10

const file = '/ping.txt'
/** `[SECONDS] 64 bytes from …: icmp_seq=N …` */
const answerPattern = /^\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+)/

/** What became of the requests. */
export interface Tally {
  readonly sent: number
  /** Requests that were followed by an answered one and got none themselves. */
  readonly lost: number
  /** The longest time without an answer, in milliseconds. */
  readonly gapMs: number
}

export class Pinger {
  readonly #host: Host
  readonly #name: string

  private constructor(host: Host, name: string) {
    this.#host = host
    this.#name = name
  }

  /** Starts a container that pings `address`; more arguments for `docker run` may be given. */
  static async start(
    host: Host,
    network: string,
    name: string,
    address: string,
    args: readonly string[] = [],
  ): Promise<Pinger> {
    // By its path: busybox's shell would take its own ping. To a file: nobody reads its output while no engine runs.
    const ping = `/usr/bin/ping -n -D -i ${pingEveryMs / 1000} ${address} > ${file} 2>&1`
    const options = ['--name', name, '--network', network, ...args]
    await host.docker(['run', '-d', ...options, labImage, 'sh', '-c', `${ping}; sleep 3600`])
    return new Pinger(host, name)
  }

  /** The number of the last request that was answered; 0 before the first. */
  async answered(): Promise<number> {
    const command = ['exec', this.#name, 'tail', '-n', '1', file]
    const { stdout } = await this.#host.docker(command, { reject: false })
    return Number(answerPattern.exec(stdout)?.[2] ?? 0)
  }

  /** Ends it, and its container. */
  async stop(): Promise<Tally> {
    // The first signal's answer is waited for: ping flushes what it has written when it ends.
    const end = 'kill -INT $(pidof ping); while pidof ping > /dev/null; do sleep 0.05; done'
    await this.#host.docker(['exec', this.#name, 'sh', '-c', end])
    const { stdout } = await this.#host.docker(['exec', this.#name, 'cat', file])
    await this.#host.docker(['rm', '-f', this.#name])
    return tallyOf(stdout)
  }
}

/** Counts the requests in ping's output. The last ones may still have been on their way. */
export function tallyOf(output: string): Tally {
  const answers = output
    .split('\n')
    .map((line) => answerPattern.exec(line))
    .filter((match) => match !== null)
    .map(([, seconds, sequence]) => ({ at: Number(seconds) * 1000, sequence: Number(sequence) }))
  const numbers = new Set(answers.map(({ sequence }) => sequence))
  const sent = Math.max(0, ...numbers)
  let gapMs = 0
  for (const [i, { at }] of answers.entries())
    gapMs = Math.max(gapMs, at - (answers[i - 1]?.at ?? at))
  return { sent, lost: sent - numbers.size, gapMs: Math.round(gapMs) }
}
