/** A container that pings another without a pause, to tell what a disturbance costs traffic. */
import type { Host } from './host.ts'
import { labImage } from './image.ts'
import { until } from './processes.ts'

/** Milliseconds between two requests. The next one also waits for no answer. */
export const pingEveryMs = 10

const file = '/ping.txt'
/** `[SECONDS] 64 bytes from …: icmp_seq=N …` */
const answerPattern = /^\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+)/

/** `N packets transmitted, N received, …`: what ping says when it ends. */
const summaryPattern = /^(\d+) packets transmitted, /m

/** So many of the last requests may have been on their way when ping ended: those of 100 ms. */
const onTheWayMost = 10

/** What became of the requests after a certain one. */
export interface Tally {
  /** As ping itself counts them. */
  readonly sent: number
  /**
   * Those without an answer, wherever they stand, but for those that may have been on their way at
   * the end.
   */
  readonly lost: number
  /**
   * The longest time without an answer, at the beginning and at the end too, in milliseconds. A
   * busy machine makes it longer.
   */
  readonly silentMs: number
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
    // By its path: busybox's shell would take its own ping. To a file: nobody reads its output
    // while no engine runs.
    const ping = `/usr/bin/ping -n -D -i ${pingEveryMs / 1000} ${address} > ${file} 2>&1`
    const options = ['--name', name, '--network', network, ...args]
    await host.docker(['run', '-d', ...options, labImage, 'sh', '-c', `${ping}; sleep 3600`])
    return new Pinger(host, name)
  }

  /** The number of the last request that was answered; 0 before the first. */
  async answered(): Promise<number> {
    const command = ['exec', this.#name, 'sh', '-c', `grep 'bytes from' ${file} | tail -n 1`]
    const { stdout } = await this.#host.docker(command, { reject: false })
    return Number(answerPattern.exec(stdout)?.[2] ?? 0)
  }

  /**
   * Waits until 20 more requests are answered; throws when they are not. Returns the number of the
   * last.
   */
  async untilAnswered(): Promise<number> {
    const before = await this.answered()
    let last = before
    const hasGrown = async (): Promise<boolean> => (last = await this.answered()) >= before + 20
    await until(hasGrown, `answers to ${this.#name} of ${this.#host.name}, ${before} before`)
    return last
  }

  /** Ends it, and its container. Counts the requests after number `from`. */
  async stop(from = 0): Promise<Tally> {
    // The first signal's answer is waited for: ping flushes what it has written when it ends.
    const end = 'kill -INT $(pidof ping); while pidof ping > /dev/null; do sleep 0.05; done'
    await this.#host.docker(['exec', this.#name, 'sh', '-c', end])
    const { stdout } = await this.#host.docker(['exec', this.#name, 'cat', file])
    await this.#host.docker(['rm', '-f', this.#name])
    return tallyOf(stdout, from)
  }
}

/**
 * Counts the requests after number `from` in the output of a ping that has ended; throws when it
 * has not.
 */
export function tallyOf(output: string, from = 0): Tally {
  const summary = summaryPattern.exec(output)
  if (summary === null) throw new Error(`no end of a ping: …${output.slice(-200)}`)
  const last = Number(summary[1])
  const answers = output
    .split('\n')
    .map((line) => answerPattern.exec(line))
    .filter((match) => match !== null)
    .map(([, seconds, sequence]) => ({ at: Number(seconds) * 1000, sequence: Number(sequence) }))
    .filter(({ sequence }) => sequence > from)
  const numbers = new Set(answers.map(({ sequence }) => sequence))
  const due = Math.max(from, last - onTheWayMost, ...numbers)
  const first = answers[0]?.sequence ?? last + 1
  const lastAnswered = Math.max(from, ...numbers)
  let silentMs = Math.max(first - from - 1, last - lastAnswered) * pingEveryMs
  for (const [i, { at }] of answers.entries())
    silentMs = Math.max(silentMs, at - (answers[i - 1]?.at ?? at))
  return { sent: last - from, lost: due - from - numbers.size, silentMs: Math.round(silentMs) }
}

/**
 * What is wrong with traffic that nothing should have touched; nothing when every request was
 * answered.
 */
export function faultsOf({ sent, lost }: Tally): string[] {
  const faults: string[] = []
  if (sent === 0) faults.push('nothing was sent')
  if (lost > 0) faults.push(`${lost} of ${sent} packets lost`)
  return faults
}
