import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { ClusterOptions } from './options.ts'
import type { MemberTable } from '../members/member-table.ts'
import type { Sender } from './sender.ts'
import type { Replica } from '../log/replica.ts'
import type { SignedLogs } from '../log/signed-logs.ts'

/** What the parts of the protocol share. */
export interface SyncContext {
  readonly clock: Clock
  readonly random: Random
  readonly options: ClusterOptions
  readonly replica: Replica
  readonly members: MemberTable
  readonly sender: Sender
  readonly signedLogs: SignedLogs
}
