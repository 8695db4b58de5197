/**
 * A host's gossip for members only: its identity, its standing in a cluster, and the transport that
 * the gossip library speaks through. Who asks to be enrolled is served once the plugin is built.
 */
import type { JoinToken } from '../../identity/enrolment/join-token.ts'
import { type IdentityStore, MemberIdentity } from '../../identity/member-identity.ts'
import { type Membership, SealedTransport } from '../../identity/sealed-transport.ts'
import type { Endpoint, Transport } from '../../identity/streams/transport.ts'
import type { Admission } from './admission.ts'
import { type HostParts, obtainStanding } from './standing.ts'

interface SealedHostParts extends Omit<HostParts, 'identity' | 'dial'> {
  readonly store: IdentityStore
  /** Plain sockets, or a network in memory. */
  readonly inner: Transport
  readonly token: JoinToken | null
  /** JOIN, each as a host or an address with a port. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[]
  /** Between two rotations of the gossip keys. */
  readonly rotationMs: number
  /** Reports who was refused and why. Comes at a bounded rate for each source. */
  readonly note: (who: string, what: string, text: string) => void
}

export class SealedHost {
  readonly parts: HostParts
  readonly transport: SealedTransport
  readonly rotationMs: number
  /** What was dropped or refused since the start, by reason; for `/status`. */
  readonly counts: Record<string, number> = {}
  /** Serves those that ask to be enrolled. */
  admission: Admission | null = null

  private constructor(parts: HostParts, { inner, rotationMs, note }: SealedHostParts) {
    this.parts = parts
    this.rotationMs = rotationMs
    const { clock, random } = parts
    this.transport = new SealedTransport({
      inner,
      clock,
      random,
      membership: () => this.#membership(),
      enrol: async (stream) => await this.admission?.serve(stream),
      note,
      count: (what) => void (this.counts[what] = (this.counts[what] ?? 0) + 1),
    })
  }

  /** Rejects with NOT_ADMITTED or BAD_SETTING when this host is no member and cannot become one. */
  static async open(parts: SealedHostParts): Promise<SealedHost> {
    const { clock, random, name, address, store, inner, token, seeds } = parts
    const identity = await MemberIdentity.load(store)
    const dial = (to: Endpoint, signal: AbortSignal) => inner.dial(to, { signal })
    const host = new SealedHost({ clock, random, identity, name, address, dial }, parts)
    if (identity.standing === null) {
      const found = await Promise.all(seeds.map((seed) => addressesOf(inner, seed)))
      await obtainStanding(host.parts, token, found.flat())
    }
    return host
  }

  #membership(): Membership {
    const { name, identity } = this.parts
    const { context, authority, keys, evicted } = identity.standing!
    return { name, context, authority, keys, isEvicted: (id) => evicted.has(id) }
  }
}

/** None for a name that does not resolve: another seed may. */
async function addressesOf(
  inner: Transport,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Endpoint[]> {
  const addresses = (await inner.resolve?.(host).catch(() => [])) ?? [host]
  return addresses.map((address) => ({ address, port }))
}
