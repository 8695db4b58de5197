/**
 * The bounds on what this package keeps, reads and sends, each with its reason. Those that are part
 * of a wire format stand beside it.
 */

/**
 * Meta is in every alive message, several of which must fit into one packet; Go has the same limit.
 */
export const MAX_META_BYTES = 512

/**
 * Go has none; a host name has at most 253 bytes, and an alive message must fit into one packet.
 */
export const MAX_NAME_BYTES = 255

/** The largest UDP payload over IPv4. */
export const MAX_PACKET_BYTES = 65_507

/**
 * News of the longest name and meta must fit into a packet with the longest label and encryption:
 * what does not fit is never told. The longest takes 1,150 bytes; 1,200 pass every link of IPv6.
 */
export const LEAST_PACKET_BYTES = 1200

/** Node lets timers that are set for longer go off at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** What one packet may expand to, over all nested layers: the largest, at a plausible ratio. */
export const MAX_PACKET_EXPANSION = 1 << 18

/**
 * How far compressed input may expand: LZW makes 2,700 bytes of one, whole states of clusters up to
 * ten. A little input may expand to MIN_EXPANSION_BYTES whatever the ratio.
 */
export const MAX_EXPANSION_RATIO = 64
export const MIN_EXPANSION_BYTES = 1 << 16

/** Names and reasons; longer strings are refused before they are decoded. */
export const MAX_STRING_BYTES = 4096

/** Fields of a struct, elements of what is skipped, and numbers that stand for a byte array. */
export const MAX_ELEMENTS = 1024

/** A record of a stream other than compressed input: a member with the longest name and meta. */
export const MAX_RECORD_BYTES = 1 << 16

/** Wrappers within wrappers: senders produce two (compress, compound); deeper is an attack. */
export const MAX_PACKET_NESTING = 4

/** The encrypted frame of a stream, as in Go. */
export const MAX_FRAME_BYTES = 20 << 20

/** What one stream may expand to or bring in all: twice the frame, as in Go. */
export const MAX_STREAM_BYTES = 40 << 20

/** User state in a push-pull, as in Go since 0.6. */
export const MAX_USER_STATE_BYTES = 20 << 20

/** One reliable user message; with its header and encryption it must fit into a frame. */
export const MAX_RELIABLE_BYTES = 16 << 20

/**
 * Nonces in each half of the memory against replay. At 30 packets a second, which a busy member
 * gets, that is the last 18 to 36 minutes; full, it takes 4 MiB.
 */
export const MAX_REMEMBERED_NONCES = 32_768

/** Members in one push-pull. Groups of 6,000 to 10,000 are known; this leaves a factor of six. */
export const MAX_PUSH_PULL_MEMBERS = 65_536

/** Streams served at once; Go's limit on concurrent push-pulls. */
export const MAX_INBOUND_STREAMS = 128

/** Of these, from one address. */
export const MAX_INBOUND_STREAMS_PER_SOURCE = 32

/** Of these, kept for addresses of members: idle connections of others cannot take them. */
export const INBOUND_STREAMS_KEPT = 64

/**
 * What all streams that are served may have brought together: four of the longest, or the states of
 * large clusters from everybody at once. Without it 128 streams could make us hold as many frames
 * before any key is tried.
 */
export const MAX_INBOUND_BYTES = 80 << 20

/**
 * Connections that we have closed and the other side has not: as many as are served at once. Honest
 * peers close within a round trip; who does not would otherwise hold a descriptor after its stream
 * is no longer counted as served.
 */
export const MAX_HALF_CLOSED_STREAMS = 128

/** Streams that we open at once. Some per member of a middling cluster; each costs a descriptor. */
export const MAX_OUTBOUND_STREAMS = 512

/**
 * Pings on behalf of others that are in flight. Ten peers that each lose everybody reach a few
 * dozen.
 */
export const MAX_RELAYS = 1024

/** Pings of the application that are in flight: one to everybody in a cluster of a thousand. */
export const MAX_USER_PINGS = 1024

/**
 * User broadcasts waiting to be sent; beyond this those sent most often are dropped. Serf prunes at
 * 4,096 too.
 */
export const MAX_USER_BROADCASTS = 4096

/** Seeds that are remembered for rejoining. */
export const MAX_SEEDS = 256

/** Failed members that are remembered for reconnecting, the longest dead forgotten first. */
export const MAX_FAILED_MEMBERS = 4096

/**
 * How far ahead of what we know an incarnation may be: a forged one near 2^32 could not be refuted.
 */
export const MAX_INCARNATION_JUMP = 2 ** 31

/**
 * How far we raise our own at a time, and how far ahead others may be accused: what contradicts a
 * forged accusation must be no leap to those who have not heard of it. What is further ahead is
 * contradicted in a second step.
 */
export const MAX_INCARNATION_STEP = 2 ** 30

/**
 * Events that a slow reader of `changes()` may be behind; then the oldest are dropped and it is
 * told.
 */
export const MAX_BUFFERED_EVENTS = 4096
