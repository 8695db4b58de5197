import type { CreateNetworkRequest } from './networks.ts'
import { parseNetworkOptions } from './options.ts'
import { type KnownOverlay, chooseOverlayParameters } from './overlay-parameters.ts'

/** The VNIs that this host, as swarm's leader, has chosen for networks; no node may have made them yet. */
export class SwarmAllocations {
  readonly #chosen = new Map<string, KnownOverlay>()

  /**
   * The options that every node gets with CreateNetwork: those that the user gave and the VNI, so that no
   * two nodes choose for themselves. Refuses what a node would refuse.
   */
  allocate(
    { networkId, options, pools }: Pick<CreateNetworkRequest, 'networkId' | 'options' | 'pools'>,
    here: { readonly known: Iterable<KnownOverlay>; readonly mtu: number; readonly member: string },
  ): Readonly<Record<string, string>> {
    const { overlay, vni, mtu } = parseNetworkOptions(options)
    const wish = {
      overlayId: overlay ?? networkId,
      vni,
      mtu,
      pools: pools.map(({ pool }) => pool),
      mtuHere: here.mtu,
    }
    const others = [...this.#chosen].filter(([id]) => id !== networkId).map(([, claim]) => claim)
    const agreed = chooseOverlayParameters(wish, [...here.known, ...others])
    this.#chosen.set(networkId, { ...wish, ...agreed, member: here.member })
    return vni === null ? { ...options, vni: `${agreed.vni}` } : options
  }

  free(networkId: string): void {
    this.#chosen.delete(networkId)
  }
}
