/**
 * Everything of the cluster room that can be set, with what it is unless told otherwise. Times in
 * milliseconds of the clock. The figures of the spreading are those that simulations of up to 1000 members
 * chose: news are pushed once, to 4 or a few more, after 5 ms, then told to 3 every 100 ms; docs/cluster-state.md
 * has what that gives.
 */
export const clusterDefaults = {
  /** News wait this long for company before they are pushed. */
  eagerDelayMs: 5,
  /** To how many members news are pushed at once, at least; more in a cluster of more than a hundred. */
  eagerFanout: 4,
  /** How often queued news are told again. */
  tickMs: 100,
  /** To how many members at each tick. */
  tickFanout: 3,
  /** News are told `transmitFactor * ceil(log10(members + 1))` times. */
  transmitFactor: 3,
  /** Packets to one member at one tick. */
  tickPackets: 16,
  /** Queued news beyond this are dropped, relayed ones first; repair brings them. */
  maxQueueBytes: 64 * 1024,
  /** How often a member that has compared with nobody asks somebody. */
  antiEntropyMs: 1000,
  /** A differing root counts only when nothing was applied for so long. */
  settleMs: 300,
  /** A hole in an origin's versions may close by itself for so long before it is asked for. */
  holeMs: 200,
  /** Something asked for and not come is asked for again. */
  requestRetryMs: 400,
  /** Records of somebody who is not known as a member may wait so long before one asks after it. */
  resolveUnknownMs: 500,
  /** Answers with more records than this go by TCP. */
  maxPacketRecords: 400,
  /** Size of one piece of a transfer by TCP. Small, because one is encoded without a pause. */
  transferBytes: 32 * 1024,
  /** Transfers by TCP that one member serves at once. */
  maxTransfers: 4,
  /** How long a tombstone is kept for those who missed it. */
  tombstoneMs: 10 * 60_000,
  /** How many tombstones of one origin are kept. */
  maxTombstones: 4096,
  /** How long a dead member's records are kept, hidden. */
  hiddenHoldMs: 10 * 60_000,
  /** How long it is remembered that an epoch is over. */
  epochTombstoneMs: 24 * 3_600_000,
  /** How long the old records of a restarted member are shown while its new ones are incomplete. */
  pendingEpochMs: 5000,
  /** Versions that one member gives out per second, in the long run. */
  publishRate: 200,
  /** Versions that one member may give out in a burst. */
  publishBurst: 2000,
  /** Transitions wait this long for company before listeners get them. */
  transitionDelayMs: 5,
  /** The most transitions in one batch. */
  maxTransitions: 500,
  /** When `join` rejects; it keeps trying. */
  joinBoundMs: 10_000,
  /** The most that `leave` waits. */
  leaveMs: 3000,
  /** Requests under way, each direction: sixteen claims at once among a thousand voters. */
  maxRequests: 16_384,
}

export type ClusterOptions = Readonly<typeof clusterDefaults>
