import { Router } from 'express'
import { type InviteOptions, admissionRoutes } from './admission-routes.ts'
import { type DiagnosisSource, diagnosisRoutes } from './diagnosis-routes.ts'
import type { Metrics } from './metrics.ts'
import { metricsRoutes } from './metrics-routes.ts'
import {
  type EvictOptions,
  type RecoverOptions,
  memberRoutes,
  recoveryRoutes,
} from './member-routes.ts'
import { networkRoutes } from './network-routes.ts'
import { statusRoutes } from './status-routes.ts'

/** What an operator on this host can ask for and do. */
export interface Administration {
  /** Plain JSON. */
  readonly status: () => unknown
  /** What happened since the start, the oldest first; bounded. */
  readonly events: () => readonly { readonly sequence: number }[]
  /** What each live member says of itself. Plain JSON. */
  readonly views: () => Promise<unknown>
  readonly diagnosis: DiagnosisSource
  readonly metrics: Metrics
  /** Why the plugin does not serve the engine; null when it does. */
  readonly illness: () => string | null
  /** Evicts members. Fails with MEMBER_UNKNOWN, MEMBER_ALIVE or QUORUM. */
  readonly evict: (members: readonly string[], options: EvictOptions) => Promise<void>
  /** Makes a join token; resolves with the line that installs the plugin on another host. */
  readonly invite: (options: InviteOptions) => Promise<string>
  /** Has the gossip key replaced; resolves with the present epoch. */
  readonly rotateKeys: () => Promise<number>
  /**
   * Begins to replace this host's WireGuard key; resolves with the new public key. Fails with
   * BAD_REQUEST while this host or another one does.
   */
  readonly rotateWireGuard: () => Promise<string>
  /** Makes a new cluster out of what this host has agreed on; resolves with its id. */
  readonly recover: (options: RecoverOptions) => Promise<string>
  /**
   * Removes a network that the engine does not have, by (the beginning of) its id; resolves with
   * the id.
   */
  readonly dropNetwork: (id: string) => Promise<string>
  /**
   * Adds a subnet to a network, by its name, overlay or (the beginning of) its id, on all hosts.
   * Fails with NETWORK_NOT_FOUND, BAD_REQUEST, POOL_OVERLAP, POOL_IN_USE or QUORUM.
   */
  readonly addSubnet: (network: string, subnet: string) => Promise<void>
}

/**
 * The admin API, on the socket in the engine's plugin directory, which only root can open.
 * Stateless; every answer is JSON.
 */
export function adminRoutes(administration: Administration): Router {
  return Router()
    .use(statusRoutes(administration))
    .use(diagnosisRoutes(administration.diagnosis))
    .use(metricsRoutes(administration.metrics, administration.illness))
    .use(memberRoutes(administration.evict))
    .use(
      admissionRoutes(
        administration.invite,
        administration.rotateKeys,
        administration.rotateWireGuard,
      ),
    )
    .use(recoveryRoutes(administration.recover))
    .use(networkRoutes(administration))
}
