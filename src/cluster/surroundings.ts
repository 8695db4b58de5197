import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { ClusterOptions } from './cluster-options.ts'
import type { MemberTable } from './member-table.ts'
import type { Post } from './post.ts'
import type { Replica } from './replica.ts'

/** What the parts of the protocol work with. */
export interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  readonly options: ClusterOptions
  readonly replica: Replica
  readonly members: MemberTable
  readonly post: Post
}
