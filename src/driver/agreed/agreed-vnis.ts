import { failure, type OverlayError, refusal } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import { Every } from '../../base/timers.ts'
import { searchFrom, type Vni } from '../../net/vni.ts'
import type { Network, NetworkStore } from '../network-store.ts'
import { parseNetworkOptions } from '../network-options.ts'
import { isSwarmId, otherEncryption, otherVni, vniInUse } from '../overlay-parameters.ts'
import type { DriverParts, VniRefusal, VniWish } from '../ports.ts'

/** CreateNetwork waits this long for the voters, ms. */
const claimMs = 4500
/** What nobody waits for takes at most this, ms. */
const backgroundMs = 3000
/** What is agreed is compared with the store this often, ms, and this soon after a change. */
const compareMs = 60_000
const afterChangeMs = 500
const afterFailureMs = 5000
/** The VNIs that a command can name as taken, at most. */
const maxAvoided = 4096

interface Networks {
  /** Runs a task in the queue of that network. */
  readonly inQueueOf: (networkId: string, task: () => Promise<void>) => Promise<void>
  /** Gives a network without endpoints another VNI. In its queue. */
  readonly changeVni: (network: Network, vni: Vni) => Promise<void>
  /** What else is compared with the voters, at the same times. */
  readonly compareMore: () => Promise<void>
}

/**
 * The VNIs of this host's overlays, as the cluster agrees on them: random, one for each overlay,
 * the same on all hosts, free again when no host has a network of the overlay.
 *
 * CreateNetwork claims; from then on the VNI in the store counts, so a host that is cut off goes
 * on. Everything else is one comparison in the background: overlays of networks in the store that
 * are not agreed to be this host's are attached again (it was evicted, or is in another cluster),
 * and those without a network are detached. The networks of swarm are not among them: its managers
 * choose their VNIs.
 */
export class AgreedVnis {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #networks: Networks
  /** By overlay: a claim and what is written after it come before the next comparison. */
  readonly #queue = new KeyedQueue()
  readonly #every: Every
  /** By overlay the refusal that was logged. */
  readonly #refused = new Map<string, string>()
  #isChanged = true

  constructor(parts: DriverParts, store: NetworkStore, networks: Networks) {
    this.#parts = parts
    this.#store = store
    this.#networks = networks
    this.#every = new Every({
      clock: parts.clock,
      intervalMs: () => (this.#isChanged ? afterFailureMs : compareMs),
      run: () => this.#compare(),
      warn: (failure) => parts.logger.debug('comparing VNIs with the voters', { error: failure }),
    })
  }

  start(): void {
    this.#every.start(afterChangeMs)
  }

  async stop(): Promise<void> {
    this.#every.stop()
    await this.#every.idle()
  }

  /** A network is gone, or was not made: its overlay is detached soon. */
  changed(): void {
    this.#isChanged = true
    if (this.#every.isStarted) this.#every.start(afterChangeMs)
  }

  /**
   * Claims a VNI and runs `create` with it, which writes the network down. Refuses with
   * OVERLAY_CONFLICT when the overlay has another VNI, with VNI_IN_USE when another overlay has it;
   * fails with QUORUM.
   */
  claim(wish: VniWish, create: (vni: Vni) => Promise<void>): Promise<void> {
    return this.#queue.run(wish.overlayId, async () => {
      try {
        const avoid = [...new Set(wish.avoid)].slice(0, maxAvoided)
        const outcome = await this.#parts.agreement.attachOverlay({ ...wish, avoid })(claimMs)
        if ('refused' in outcome) throw refusedVni(wish, outcome.refused)
        await create(outcome.ok.vni as Vni)
      } catch (error) {
        this.changed()
        throw error
      }
    })
  }

  async #compare(): Promise<void> {
    const { agreement } = this.#parts
    await this.#networks.compareMore()
    if (!this.#isChanged && this.#agreedNetworks().length === 0) return
    this.#isChanged = true
    const { known, grant, overlays } = await agreement.attachedOverlays()(backgroundMs)
    const attached = new Map(overlays.map((overlay) => [overlay.overlayId, overlay]))
    for (const { overlayId } of overlays) {
      await this.#queue.run(overlayId, async () => {
        if (this.#agreedNetworks().some((network) => network.overlayId === overlayId)) return
        await agreement.detachOverlay(overlayId, grant)(backgroundMs)
      })
    }
    for (const network of this.#agreedNetworks()) {
      if (attached.get(network.overlayId)?.vni !== network.vni) await this.#attach(network)
    }
    this.#isChanged = !known
  }

  /** A network without endpoints takes another VNI when its own is not to be had. */
  #attach({ overlayId, networkId, encrypted }: Network): Promise<void> {
    const { agreement, logger } = this.#parts
    const attach = async (): Promise<void> => {
      const network = this.#store.network(networkId)
      if (network === undefined) return
      const { vni } = network
      const isFixed = this.#store.endpoints(networkId).length > 0 || hasVniOption(network)
      const wanted = isFixed ? vni : null
      const wish = { overlayId, encrypted, vni: wanted, start: searchFrom(vni), avoid: [] }
      const outcome = await agreement.attachOverlay(wish)(backgroundMs)
      if ('ok' in outcome) {
        this.#refused.delete(overlayId)
        if (outcome.ok.vni !== vni) await this.#networks.changeVni(network, outcome.ok.vni as Vni)
        return
      }
      const { message } = refusedVni(wish, outcome.refused)
      if (this.#refused.get(overlayId) !== message) logger.warn(message)
      this.#refused.set(overlayId, message)
    }
    return this.#queue.run(overlayId, () => this.#networks.inQueueOf(networkId, attach))
  }

  #agreedNetworks(): Network[] {
    return this.#store.networks().filter(({ networkId }) => !isSwarmId(networkId))
  }
}

function hasVniOption({ options }: Network): boolean {
  return parseNetworkOptions(options).vni !== null
}

function refusedVni(
  wish: Pick<VniWish, 'overlayId' | 'vni' | 'encrypted'>,
  refused: VniRefusal,
): OverlayError {
  const { overlayId, vni } = wish
  const { code, member = '', overlay = '' } = refused
  if (code === 'OTHER_ENCRYPTION') return otherEncryption(wish, member)
  if (code === 'OTHER_VNI') return otherVni(overlayId, vni!, { vni: refused.vni as Vni, member })
  if (code === 'VNI_IN_USE') return vniInUse(overlayId, vni!, { overlayId: overlay, member })
  const what = `a VNI for overlay "${overlayId}"`
  if (code !== 'QUOTA')
    return failure('MEMBER_ERROR', `${what}: the voters refuse it (${code}); try again`)
  return refusal(
    'VNI_IN_USE',
    `${what}: this host or the cluster has as many overlays as there may be`,
  )
}
