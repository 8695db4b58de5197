import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Ip } from '../net/ip.ts'
import type { ClusterOptions } from './sync/options.ts'
import type { GossipTransport } from './gossip/gossip-transport.ts'
import type { RecordType } from './wire/record-type.ts'
import type { LogSignatures } from './log/signed-head.ts'
import type { EpochStore } from './log/own-epoch.ts'

/** What a cluster is built from. */
export interface ClusterSettings {
  /** Unique in the cluster. */
  readonly name: string
  /** Our VTEP. */
  readonly address: Ip
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly gossip: GossipTransport
  readonly epochStore: EpochStore
  /** The members' keys, which logs are signed with; without them logs are not signed. */
  readonly signatures?: LogSignatures | null
  /** The kinds of records that this release knows. */
  readonly records: readonly RecordType[]
  readonly options?: Partial<ClusterOptions>
}
