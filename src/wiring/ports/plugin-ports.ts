import type { Clock } from '../../base/clock.ts'
import type { LoggedProblem, Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { GossipTransport } from '../../cluster/gossip/gossip-transport.ts'
import type { Dataplane } from '../../dataplane/dataplane.ts'
import type { Engine } from '../../engine-client/engine.ts'
import type { HostFacts } from '../../host/facts.ts'
import type { Resolvers } from '../../names/names.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { TunnelProbes } from '../../paths/paths.ts'
import type { Store } from '../../store/store.ts'
import type { SealedHost } from '../admission/sealed-host.ts'

/** Where this host's address comes from, and what is done when it is another. */
export interface HostAddress {
  /** The address of the default route's interface; rejects when there is none. Null: it is set. */
  readonly routed: (() => Promise<Ip>) | null
  /** Starts the plugin again, with that address. Called once. */
  readonly moved: (to: Ip) => void
}

/** What the plugin stands on: the real things in `main.ts`, virtual ones in a test. */
export interface PluginPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly store: Store
  readonly dataplane: Dataplane
  readonly gossip: GossipTransport
  /** What the gossip goes through, which is for members only. */
  readonly sealed: SealedHost
  /** The engine's own API; absent with `ENGINE_API=off`, and in tests of other rooms. */
  readonly engine?: Engine
  /** Packets through the tunnels; absent where there is no kernel. */
  readonly probes?: TunnelProbes
  /** What a change of this host's address is noticed by; absent where it has none but VTEP. */
  readonly hostAddress?: HostAddress
  /** Where queries of containers are answered; absent with `NAMES=off`, and in tests of others. */
  readonly resolvers?: Resolvers
  /** The last warnings, for `/status`. */
  readonly problems: readonly LoggedProblem[]
  /** Prefixes that this host already routes, which automatic pools keep clear of. */
  readonly hostRoutes?: () => Promise<readonly Cidr[]>
  /** What of this host's kernel a busy overlay depends on; absent in tests of other rooms. */
  readonly hostFacts?: () => Promise<HostFacts>
}

/** What the plugin is to do here. */
export interface PluginOptions {
  readonly version: string
  readonly member: string
  readonly vtep: Ip
  readonly vxlanPort: number
  readonly wireguardPort: number
  readonly scope: 'local' | 'global'
  readonly seeds: readonly string[]
  readonly pools: readonly { readonly cidr: Cidr; readonly length: number }[]
  /** Bytes; null to measure. */
  readonly underlayMtu: number | null
  readonly auditIntervalMs: number
  /** After how long something is released that nothing uses, in milliseconds. */
  readonly orphanGraceMs: number
  /** After how long a member that stays away is forgotten, in milliseconds. */
  readonly forgetAfterMs: number
  /** How many members vote on what the cluster agrees on. */
  readonly voters: number
}
