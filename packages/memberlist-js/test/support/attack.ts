import {
  Keyring,
  type SocketAddress,
  type Random,
  type Stream,
  type Transport,
} from 'memberlist-js'
import { below, fraction } from '../../src/ports/random.ts'
import { Cluster, endpointOf, present, type MemberOptions } from './cluster.ts'

/** How many real packets and streams are kept to be mutated and replayed. */
const KEPT = 500
/** The longest invented packet; the longest that UDP carries would only be slower. */
const MAX_INVENTED = 2000

/**
 * Three members that live their life, and an attacker who hears everything and sends them rubbish.
 */
export class Attack implements AsyncDisposable {
  readonly cluster: Cluster
  readonly #random: Random
  readonly #attacker: Transport
  readonly #packets: Uint8Array[] = []
  readonly #streams: Uint8Array[] = []
  sent = 0

  private constructor(seed: number) {
    this.cluster = new Cluster(seed)
    this.#random = this.cluster.random
    this.#attacker = this.cluster.network.transport({ address: '10.66.6.6', port: 666 })
  }

  /** With a key nothing the attacker makes up can be believed; without one some of it can. */
  static async prepare(seed: number, keyed: boolean): Promise<Attack> {
    const attack = new Attack(seed)
    for (let i = 0; i < 3; i++) {
      const options: MemberOptions = keyed
        ? { keyring: new Keyring([new Uint8Array(32).fill(9)]) }
        : {}
      const transport = attack.#overheard(attack.cluster.network.transport(endpointOf(i)))
      attack.cluster.add({ ...options, transport, config: { pushPullIntervalMs: 5000 } })
    }
    await attack.cluster.run(attack.cluster.joinFirst())
    await attack.cluster.clock.advance(15_000)
    return attack
  }

  /** The names that each member holds for present. */
  views(): readonly string[] {
    return this.cluster.lists.map((list) => present(list).join())
  }

  /** Sends some hundred bad packets and a few bad streams while the members go on. */
  async volley(): Promise<void> {
    for (let i = 0; i < 200; i++) {
      this.#attacker.send(this.#rubbish(this.#packets), this.#victim())
      this.sent++
      if (i % 20 === 0) await this.cluster.clock.advance(5)
    }
    for (let i = 0; i < 4; i++) await this.#badStream()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#attacker.close()
    await this.cluster[Symbol.asyncDispose]()
  }

  #victim(): SocketAddress {
    return endpointOf(below(this.#random, 3))
  }

  /** Records what a member sends, packets and streams. */
  #overheard(transport: Transport): Transport {
    const send = transport.send.bind(transport)
    transport.send = (packet, to) => {
      this.#keep(this.#packets, packet)
      send(packet, to)
    }
    const dial = transport.dial.bind(transport)
    transport.dial = async (to, options) => {
      const stream = await dial(to, options)
      const write = stream.write.bind(stream)
      stream.write = async (bytes) => {
        this.#keep(this.#streams, bytes)
        await write(bytes)
      }
      return stream
    }
    return transport
  }

  #keep(kept: Uint8Array[], bytes: Uint8Array): void {
    if (kept.length < KEPT) kept.push(Uint8Array.from(bytes))
    else kept[below(this.#random, KEPT)] = Uint8Array.from(bytes)
  }

  /** Invented, or a real one flipped, cut, doubled, extended or replayed as it was. */
  #rubbish(samples: readonly Uint8Array[]): Uint8Array {
    const random = this.#random
    const sample = samples[below(random, samples.length)]
    const kind = below(random, 6)
    if (sample === undefined || kind === 0) return random.bytes(below(random, MAX_INVENTED))
    const bytes = Uint8Array.from(sample)
    if (kind === 1) return bytes.subarray(0, below(random, bytes.length + 1))
    if (kind === 2) return Buffer.concat([bytes, bytes])
    if (kind === 3) return Buffer.concat([bytes, random.bytes(1 + below(random, 20))])
    if (kind === 5) return bytes
    for (let flips = 1 + below(random, 8); flips > 0; flips--) {
      bytes[below(random, bytes.length)]! ^= 1 << below(random, 8)
    }
    return bytes
  }

  /** Writes rubbish in pieces, and hangs up, falls silent, or resets. */
  async #badStream(): Promise<void> {
    const { signal } = new AbortController()
    const opened = this.#attacker.dial(this.#victim(), { signal })
    const stream: Stream = await this.cluster.run(opened)
    const bytes = this.#rubbish(this.#streams)
    const cut = below(this.#random, bytes.length + 1)
    const ignore = () => undefined
    await stream.write(bytes.subarray(0, cut)).catch(ignore)
    await this.cluster.clock.advance(3)
    await stream.write(bytes.subarray(cut)).catch(ignore)
    if (fraction(this.#random) < 0.4) stream.close()
    else if (fraction(this.#random) < 0.5) stream.destroy()
  }
}
