import { attempt, failure } from '../../base/errors.ts'
import type { Clock } from '../../base/clock.ts'
import { withDeadline } from '../../base/deadline.ts'
import { type Random, pick } from '../../base/random.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { endpointRecord } from '../../cluster/wire/endpoint-record.ts'
import type { Vni } from '../../net/vni.ts'

/** The channel of questions whether a record has arrived. */
const channel = 'applied'
/** Between two records that are measured. */
const minSampleMs = 1000
const maxWaitMs = 10_000
/** Questions of others that are waiting for a record at a time. */
const maxWaits = 64

type Key = `${string} ${Vni}/${string}`

/**
 * How long a record takes from here to another member: of one endpoint a second at most, a random
 * member is asked to answer when it has it. No clock but this host's; the answer's way is included.
 */
export class Propagation {
  readonly #clock: Clock
  readonly #random: Random
  readonly #cluster: Cluster
  readonly #waits = new Map<Key, () => void>()
  #sampledMs = -Infinity
  /** Told of each measurement, ms. */
  observe: (ms: number) => void = () => {}

  constructor(clock: Clock, random: Random, cluster: Cluster) {
    this.#clock = clock
    this.#random = random
    this.#cluster = cluster
    cluster.handle(channel, async (from, body) => {
      await this.#arrival(from, typeof body === 'string' ? body : '')
      return {}
    })
    cluster.onTransitions((batch) => {
      if (this.#waits.size === 0) return
      for (const { origin, next } of batch)
        if (endpointRecord.is(next)) this.#waits.get(`${origin} ${keyOf(next)}`)?.()
    })
  }

  /** An endpoint's record was written here just now. */
  written(record: { readonly vni: Vni; readonly endpointId: string }): void {
    const start = this.#clock.now()
    if (start - this.#sampledMs < minSampleMs) return
    const others = this.#cluster.members().filter(({ self, state }) => !self && state === 'alive')
    const member = pick(this.#random, others)
    if (member === undefined) return
    this.#sampledMs = start
    const ask = () =>
      this.#cluster.request(member.name, channel, keyOf(record), { timeoutMs: maxWaitMs })
    // A record that was removed again, or a member that went away, measures nothing.
    void attempt(ask, () => null).then((answer) => {
      if (answer !== null) this.observe(this.#clock.now() - start)
    })
  }

  async #arrival(from: string, record: string): Promise<void> {
    for (const { origin, record: known } of this.#cluster.records(endpointRecord))
      if (origin === from && keyOf(known) === record) return
    const key = `${from} ${record}` as Key
    if (this.#waits.size >= maxWaits || this.#waits.has(key))
      throw failure('DEADLINE', 'too many wait for records here')
    const arrived = new Promise<void>((resolve) => this.#waits.set(key, resolve))
    await withDeadline(this.#clock, maxWaitMs, 'waiting for a record', arrived).finally(() =>
      this.#waits.delete(key),
    )
  }
}

function keyOf({ vni, endpointId }: { readonly vni: Vni; readonly endpointId: string }) {
  return `${vni}/${endpointId}` as const
}
