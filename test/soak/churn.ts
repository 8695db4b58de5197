/**
 * What users do all the time: containers come and go. While something is being disturbed a command
 * may fail, and says why.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Random, below, pick } from '../../src/base/random.ts'
import type { Host } from '../support/lab/host.ts'
import { type SoakCluster, network } from './soak-cluster.ts'
import type { Tallies } from './tallies.ts'

const containersMost = 5

export class Churn {
  readonly #parts: {
    readonly cluster: SoakCluster
    readonly random: Random
    readonly tallies: Tallies
  }
  /** Containers that were disconnected. */
  readonly #apart = new Set<string>()
  #next = 0

  constructor(parts: { cluster: SoakCluster; random: Random; tallies: Tallies }) {
    this.#parts = parts
  }

  /** Goes on until told to stop. */
  async run(isOver: () => boolean): Promise<void> {
    const { cluster } = this.#parts
    await Promise.all(
      cluster.hosts.map(async (on) => {
        while (!isOver()) {
          await this.#step(on)
          await sleep(below(this.#parts.random, 800))
        }
      }),
    )
  }

  async #step(on: Host): Promise<void> {
    const { cluster, random } = this.#parts
    const present = (await cluster.containers(on)).filter((name) => name.startsWith('c'))
    const one = pick(random, present)
    const dice = below(random, 10)
    if (one === undefined || (present.length < containersMost && dice < 5)) await this.#start(on)
    else if (dice < 7) await this.#attempt('containers removed', on, ['rm', '-f', one])
    else if (dice < 8) await this.#attempt('containers restarted', on, ['restart', '-t', '0', one])
    else {
      // And on again at some other time.
      const isApart = this.#apart.delete(one)
      const words = isApart ? ['connect'] : ['disconnect', '-f']
      if (!isApart) this.#apart.add(one)
      await this.#attempt(`containers ${words[0]}ed`, on, ['network', ...words, network, one])
    }
  }

  async #start(on: Host): Promise<void> {
    const { cluster, random, tallies } = this.#parts
    const args: string[] = []
    if (below(random, 3) === 0) args.push('--restart', 'always')
    // The few addresses of this range are wanted again and again, on every host.
    if (below(random, 4) === 0) args.push('--ip', `10.90.8.${1 + below(random, 12)}`)
    try {
      await cluster.run(on, `c${++this.#next}`, args)
      tallies.count('containers started')
    } catch (error) {
      this.#refused('containers refused', on, error)
    }
  }

  async #attempt(what: string, on: Host, words: readonly string[]): Promise<void> {
    try {
      await on.docker(words, { timeout: 40_000 })
      this.#parts.tallies.count(what)
    } catch (error) {
      this.#refused('other commands that failed', on, error)
    }
  }

  #refused(what: string, on: Host, error: unknown): void {
    const lines = String(error)
      .split('\n')
      .filter((line) => line !== '' && !/^[0-9a-f]{64}$/.test(line))
    const why =
      lines.find((line) => /error|cannot/i.test(line) && !line.startsWith('Error: host')) ??
      lines[0] ??
      ''
    this.#parts.tallies.count(what)
    if (process.env['VERBOSE'] === '1') this.#parts.tallies.note(`${on.name}: ${why.slice(0, 200)}`)
  }
}
