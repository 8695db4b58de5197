import { type Cidr, cidrBits, cidrLength, parseCidr } from '../net/cidr.ts'
import type { DriverNetwork, EngineNetwork, NetworksCluster } from './ports.ts'

/** A host with more, a router perhaps, publishes the largest. */
const maxPrefixes = 256

/** The prefixes that this host uses outside of the cluster, as it publishes them. */
export class HostPrefixes {
  readonly #cluster: NetworksCluster
  readonly #routes: () => Promise<readonly Cidr[]>

  constructor(cluster: NetworksCluster, routes: () => Promise<readonly Cidr[]>) {
    this.#cluster = cluster
    this.#routes = routes
  }

  /** Publishes the host's routes and the subnets that its engine's own IPAM driver has. */
  async publish(
    networks: readonly EngineNetwork[],
    driver: ReadonlyMap<string, DriverNetwork>,
  ): Promise<void> {
    const subnets = networks
      .filter(({ Id, Scope, IPAM }) => {
        const isCopied = (driver.get(Id)?.engines ?? null) !== null
        return Scope === 'local' && IPAM.Driver === 'default' && !isCopied
      })
      .flatMap(({ IPAM }) => IPAM.Config.map(({ Subnet }) => parseCidr(Subnet)))
      .filter((subnet) => subnet !== null)
    const all = [...new Set([...(await this.#routes()), ...subnets])]
    const hostBits = (cidr: Cidr): number => cidrBits(cidr) - cidrLength(cidr)
    const now = all.toSorted((a, b) => hostBits(b) - hostBits(a)).slice(0, maxPrefixes)
    const { self } = this.#cluster
    const before = [...this.#cluster.prefixes()].flatMap(({ member, prefix }) =>
      member === self ? [prefix] : [],
    )
    for (const prefix of now) if (!before.includes(prefix)) this.#cluster.putPrefix(prefix)
    for (const prefix of before) if (!now.includes(prefix)) this.#cluster.withdrawPrefix(prefix)
  }
}
