/**
 * A host's gossip, which is for members only: its identity, its standing in a cluster, and the
 * transport that the gossip library speaks through. Who asks to be enrolled is served once the
 * plugin is built.
 */
import { sleep } from '../../base/clock.ts'
import { failure } from '../../base/errors.ts'
import { type IdentityStore, MemberIdentity } from '../../identity/member-identity.ts'
import { certificateAt } from '../../identity/streams/certificate-at.ts'
import { type Membership, SealedTransport } from '../../identity/sealed-transport.ts'
import type { Endpoint, Transport } from '../../identity/streams/transport.ts'
import type { Admission } from './admission.ts'
import { type HostParts, obtainStanding } from './standing.ts'

/** The engine dials a plugin 9.5 s after its start at the latest. */
const maxOpenMs = 6000

interface SealedHostParts extends Omit<
  HostParts,
  'identity' | 'dial' | 'seeds' | 'port' | 'memberAt' | 'atFormer'
> {
  readonly store: IdentityStore
  /** Plain sockets, or a network in memory. */
  readonly inner: Transport
  /** JOIN, each as a host or an address with a port. */
  readonly join: readonly { readonly host: string; readonly port: number }[]
  /** Between two rotations of the gossip keys. */
  readonly rotationMs: number
}

export class SealedHost {
  readonly parts: HostParts
  readonly transport: SealedTransport
  readonly rotationMs: number
  /** Monotonic, ms. */
  readonly startedMs: number
  /** What was dropped or refused since the start, by reason; for `/status`. */
  readonly counts: Record<string, number> = {}
  /** Serves those that ask to be enrolled, and is told who was refused. */
  admission: Admission | null = null

  private constructor(parts: HostParts, { inner, rotationMs }: SealedHostParts) {
    this.parts = parts
    this.rotationMs = rotationMs
    const { clock, random } = parts
    this.startedMs = clock.now()
    this.transport = new SealedTransport({
      inner,
      clock,
      random,
      membership: () => this.#membership(),
      enrol: async (stream) => await this.admission?.serve(stream),
      evicted: () => this.admission?.maybeEvicted(),
      note: (who, what, text) => this.admission?.refused(who, what, text),
      count: (what) => void (this.counts[what] = (this.counts[what] ?? 0) + 1),
    })
  }

  /**
   * A host that is no member yet tries to become one, for some seconds at the most; later attempts
   * are made in the background. Rejects with NOT_ADMITTED when it was refused, so that the plugin
   * cannot be enabled with a wrong token, and with BAD_SETTING.
   */
  static async open(parts: SealedHostParts): Promise<SealedHost> {
    const { store, inner, join, rotationMs: _, ...rest } = parts
    const identity = await MemberIdentity.load(store)
    const dial = (to: Endpoint, signal: AbortSignal) => inner.dial(to, { signal })
    const seeds = () => Promise.all(join.map((seed) => endpointsOf(inner, seed)))
    const { clock } = parts
    const memberAt = async (to: Endpoint) => {
      const { standing } = identity
      return standing && (await certificateAt({ clock, dial, standing }, to))
    }
    const { port } = inner.advertise
    const former = identity.standing?.certificate.address ?? parts.address
    // What starts meanwhile takes as long.
    const atFormer = former === parts.address ? null : memberAt({ address: former, port })
    const made = { identity, seeds, dial, port, memberAt, atFormer }
    const host = new SealedHost({ ...rest, ...made }, parts)
    if (identity.standing !== null) return host
    // Until gossip serves: a host that is no member says so at once, and is not waited for.
    host.transport.onStream((stream) => stream.destroy())
    const first = obtainStanding(host.parts, 0)
    first.catch(() => {})
    const obtained = await Promise.race([first, sleep(parts.clock, maxOpenMs)])
    if (obtained?.isRefused === true) throw failure('NOT_ADMITTED', obtained.reason)
    return host
  }

  /** This host founded a cluster, and no voters have agreed on it yet. */
  get isFounder(): boolean {
    return this.parts.identity.kept('founding') !== null
  }

  /** Whether the member of that name answers there. */
  async isAt(name: string, to: Endpoint): Promise<boolean> {
    return (await this.parts.memberAt(to))?.name === name
  }

  /** None at an address without a certificate for it: there, it may be a copy of a member. */
  #membership(): Membership | null {
    const { name, identity, address } = this.parts
    const found = identity.standingAt(address)
    if (found === null) return null
    const { evicted, ...standing } = found
    const { privateKey: key } = identity.key
    return { ...standing, name, key, isEvicted: (id) => evicted.has(id) }
  }
}

/** None for a name that does not resolve: another seed may. */
async function endpointsOf(
  inner: Transport,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Endpoint[]> {
  const addresses = (await inner.resolve?.(host).catch(() => [])) ?? [host]
  return addresses.map((address) => ({ address, port }))
}
