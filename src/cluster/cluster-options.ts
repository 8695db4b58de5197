/** Everything of the cluster room that can be set. Times in milliseconds of the clock. */
export interface ClusterOptions {
  /** News wait this long for company before they are pushed. */
  readonly eagerDelayMs: number
  /** To how many members news are pushed at once. */
  readonly eagerFanout: number
  /** How often queued news are told again. */
  readonly tickMs: number
  /** To how many members at each tick. */
  readonly tickFanout: number
  /** News are told `transmitFactor * ceil(log10(members + 1))` times. */
  readonly transmitFactor: number
  /** Packets to one member at one tick. */
  readonly tickPackets: number
  /** Queued news beyond this are dropped, relayed ones first; repair brings them. */
  readonly queueBytes: number
  /** How often a member that has compared with nobody asks somebody. */
  readonly antiEntropyMs: number
  /** A differing root counts only when nothing was applied for so long. */
  readonly settleMs: number
  /** A hole in an origin's versions may close by itself for so long before it is asked for. */
  readonly holeMs: number
  /** Something asked for and not come is asked for again. */
  readonly wantRetryMs: number
  /** Records of somebody who is not known as a member may wait so long before one asks after it. */
  readonly introduceMs: number
  /** Answers with more records than this go by TCP. */
  readonly packetRecords: number
  /** Size of one piece of a transfer by TCP. Small, because one is encoded without a pause. */
  readonly transferBytes: number
  /** Transfers by TCP that one member serves at once. */
  readonly transfersMost: number
  /** How long a tombstone is kept for those who missed it. */
  readonly tombstoneMs: number
  /** How many tombstones of one origin are kept. */
  readonly tombstonesMost: number
  /** How long a dead member's records are kept, hidden. */
  readonly hiddenHoldMs: number
  /** How long it is remembered that an epoch is over. */
  readonly certificateMs: number
  /** How long the old records of a restarted member are shown while its new ones are incomplete. */
  readonly pendingEpochMs: number
  /** Versions that one member gives out per second, in the long run. */
  readonly publishRate: number
  /** Versions that one member may give out in a burst. */
  readonly publishBurst: number
  /** Transitions wait this long for company before listeners get them. */
  readonly transitionDelayMs: number
  /** The most transitions in one batch. */
  readonly transitionsMost: number
  /** When `join` rejects; it keeps trying. */
  readonly joinBoundMs: number
  /** The most that `leave` waits. */
  readonly leaveMs: number
  /** Requests under way, each direction: sixteen claims at once among a thousand voters. */
  readonly requestsMost: number
}

/**
 * The dissemination figures are those that a simulation of 1000 members chose (half have an update
 * after 26 ms, all after 130 ms): pushed once to 4 after 5 ms, then every 100 ms to 3.
 */
export const clusterDefaults: ClusterOptions = {
  eagerDelayMs: 5,
  eagerFanout: 4,
  tickMs: 100,
  tickFanout: 3,
  transmitFactor: 3,
  tickPackets: 16,
  queueBytes: 64 * 1024,
  antiEntropyMs: 1000,
  settleMs: 300,
  holeMs: 200,
  wantRetryMs: 400,
  introduceMs: 500,
  packetRecords: 400,
  transferBytes: 32 * 1024,
  transfersMost: 4,
  tombstoneMs: 10 * 60_000,
  tombstonesMost: 4096,
  hiddenHoldMs: 10 * 60_000,
  certificateMs: 24 * 3_600_000,
  pendingEpochMs: 5000,
  publishRate: 200,
  publishBurst: 2000,
  transitionDelayMs: 5,
  transitionsMost: 500,
  joinBoundMs: 10_000,
  leaveMs: 3000,
  requestsMost: 16_384,
}
