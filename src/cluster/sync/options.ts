/**
 * The options of the cluster room, with their defaults. Times in milliseconds of the clock. The
 * figures of dissemination were found by simulations of up to 1000 members: a rumour is pushed
 * once, to 4 members or a few more, after 5 ms, then sent to 3 members every 100 ms;
 * docs/cluster-state.md has the latencies.
 */
export const clusterDefaults = {
  /** Rumours are collected for this long before they are pushed. */
  eagerDelayMs: 5,
  /** Members that a rumour is pushed to, at least; more in a cluster of more than a hundred. */
  eagerFanout: 4,
  /** Between ticks, which send queued rumours again. */
  tickMs: 100,
  /** Members that a tick sends to. */
  tickFanout: 3,
  /** A rumour is sent `transmitFactor * ceil(log10(members + 1))` times. */
  transmitFactor: 3,
  /** Packets to one member in one tick, at most. */
  tickPackets: 16,
  /** Queued rumours above it are dropped, relayed ones first; anti-entropy brings them. */
  maxQueueBytes: 64 * 1024,
  /** A member that was not compared with any other for this long sends a digest. */
  antiEntropyMs: 1000,
  /** A root that differs leads to a digest only when nothing was applied for this long. */
  settleMs: 300,
  /** A hole in an origin's versions is requested when it has been there for this long. */
  holeMs: 200,
  /** A delta request that brought nothing is repeated after this time, then twice as late. */
  requestRetryMs: 400,
  /** An origin may be unknown for this long before it is asked for. */
  resolveUnknownMs: 500,
  /** Answers with more records go by TCP. */
  maxPacketRecords: 400,
  /** Size of one piece of a transfer by TCP. Small, because one is encoded in one turn. */
  transferBytes: 32 * 1024,
  /** Transfers by TCP that one member serves at once, at most. */
  maxTransfers: 4,
  /** How long a tombstone is kept for members that missed it. */
  tombstoneMs: 10 * 60_000,
  /** Tombstones of one origin that are kept, at most. */
  maxTombstones: 4096,
  /** How long a dead member's records are kept, hidden. */
  hiddenHoldMs: 10 * 60_000,
  /** How long an epoch tombstone is kept. */
  epochTombstoneMs: 24 * 3_600_000,
  /**
   * The old records of a restarted member are visible until the new ones are complete, or so long.
   */
  pendingEpochMs: 5000,
  /** Versions that this member publishes per second, in the long run. */
  publishRate: 200,
  /** Versions that this member may publish in a burst. */
  publishBurst: 2000,
  /** Transitions are collected for this long before listeners get them. */
  transitionDelayMs: 5,
  /** Transitions in one batch, at most. */
  maxTransitions: 500,
  /** `join` rejects after this time, and keeps trying. */
  joinBoundMs: 10_000,
  /** How long `leave` waits, at most. */
  leaveMs: 3000,
  /** Requests in flight, in each direction, at most: sixteen to each of a thousand members. */
  maxRequests: 16_384,
}

export type ClusterOptions = Readonly<typeof clusterDefaults>
