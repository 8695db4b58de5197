import type { CreateNetworkRequest } from './networks.ts'
import { parseNetworkOptions } from './options.ts'
import { type KnownOverlay, chooseOverlayParameters } from './overlay-parameters.ts'

/**
 * The ids that swarm gives: 25 digits of base 36. A network of swarm is one overlay on all its nodes, and
 * its id is the overlay's; those that an engine gives itself, 64 hexadecimal digits, are one host's alone.
 */
export function isSwarmId(networkId: string): boolean {
  return /^[0-9a-z]{25}$/.test(networkId)
}

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
