import type { EncryptionVersion } from './wire/layers/crypt.ts'

/** What may be compressed. Everything is understood whatever this says. */
export type Compression = 'none' | 'streams' | 'all'

/**
 * Every option. Times are milliseconds; intervals and time-outs have 24 days at most. The values of
 * {@link lan} are Go's `DefaultLANConfig` unless noted.
 */
export interface Config {
  /** How long one exchange over TCP may take. */
  readonly tcpTimeoutMs: number
  /** Members that are asked to probe in our place when a direct probe fails. */
  readonly indirectChecks: number
  /** A broadcast is sent `retransmitMult * ceil(log10(n + 1))` times. */
  readonly retransmitMult: number
  /** The least suspicion time-out is `suspicionMult * max(1, log10 n) * probeIntervalMs`. */
  readonly suspicionMult: number
  /** The suspicion time-out without confirmations, as a multiple of the least. */
  readonly suspicionMaxTimeoutMult: number
  /**
   * Between exchanges of the full state with a random member; scaled up above 32 members. 0: never.
   */
  readonly pushPullIntervalMs: number
  /** How long a direct probe may take before others are asked; less than `probeIntervalMs`. */
  readonly probeTimeoutMs: number
  /** One member is probed in each interval. */
  readonly probeIntervalMs: number
  /** Between gossip rounds. */
  readonly gossipIntervalMs: number
  /** Members that each round goes to. */
  readonly gossipNodes: number
  /** How long a dead member is still gossiped to and kept in the list, so that it can refute. */
  readonly gossipToTheDeadMs: number
  /** Local ill health stretches the probe interval up to this many times (Lifeguard). */
  readonly awarenessMaxMultiplier: number
  /** Go compresses all; we leave packets alone by default, because it rarely makes them smaller. */
  readonly compression: Compression
  /** Drop incoming clear text when there is a keyring. Off only while a cluster migrates. */
  readonly verifyIncoming: boolean
  /** Encrypt what is sent when there is a keyring. Off only while a cluster migrates. */
  readonly verifyOutgoing: boolean
  /** 0 for peers that speak protocol 1 only. */
  readonly encryptionVersion: EncryptionVersion
  /** What fits into one UDP packet, all layers included: 1,200 to 65,507. */
  readonly packetBytes: number
  /** Probe over TCP too when UDP gets no answer: tells a UDP problem from a dead member. */
  readonly tcpPings: boolean
  /** After how long a dead member's name may be taken over from another address. 0: never. */
  readonly deadMemberReclaimMs: number
  /**
   * Take packets without a label although one is set, because a proxy has checked and removed it.
   */
  readonly skipInboundLabelCheck: boolean
  /**
   * Between attempts to reach a failed member or an absent seed again. Not in Go; serf has 30 s. 0:
   * never.
   */
  readonly reconnectIntervalMs: number
  /**
   * Between packets that tell failed members so, for them to refute; all members together send some
   * to each. Suspects and members that send packets are told at once. Not in Go. 0: never.
   */
  readonly reprobeIntervalMs: number
  /** After how long a failed member is no longer sought. Serf's value. */
  readonly reconnectTimeoutMs: number
  /** Members the list takes in at most, up to 65,536. Not in Go. */
  readonly maxMembers: number
}

const HOUR = 3_600_000

/** One site: a local network. */
export const lan: Config = {
  tcpTimeoutMs: 10_000,
  indirectChecks: 3,
  retransmitMult: 4,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  pushPullIntervalMs: 30_000,
  probeTimeoutMs: 500,
  probeIntervalMs: 1000,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  awarenessMaxMultiplier: 8,
  compression: 'streams',
  verifyIncoming: true,
  verifyOutgoing: true,
  encryptionVersion: 1,
  packetBytes: 1400,
  tcpPings: true,
  deadMemberReclaimMs: 0,
  skipInboundLabelCheck: false,
  reconnectIntervalMs: 1000,
  reprobeIntervalMs: 500,
  reconnectTimeoutMs: 24 * HOUR,
  maxMembers: 16_384,
}

/** Several sites: slower links, so slower judgement. */
export const wan: Config = {
  ...lan,
  tcpTimeoutMs: 30_000,
  suspicionMult: 6,
  pushPullIntervalMs: 60_000,
  probeTimeoutMs: 3000,
  probeIntervalMs: 5000,
  gossipIntervalMs: 500,
  gossipNodes: 4,
  gossipToTheDeadMs: 60_000,
}

/** One machine, for tests. */
export const local: Config = {
  ...lan,
  tcpTimeoutMs: 1000,
  indirectChecks: 1,
  retransmitMult: 2,
  suspicionMult: 3,
  pushPullIntervalMs: 15_000,
  probeTimeoutMs: 200,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
}

/** The presets by name: `lan`, `wan` and `local`. */
export const presets = { lan, wan, local } as const

/** The names of the presets. */
export type PresetName = keyof typeof presets

/**
 * A preset by name, or some options that differ from a preset (`lan` unless named); `undefined` is
 * as if left out.
 */
export type ConfigInput =
  | PresetName
  | ({ readonly [K in keyof Config]?: Config[K] | undefined } & {
      readonly preset?: PresetName | undefined
    })
