/**
 * SWIM membership, failure detection and gossip, wire-compatible with hashicorp/memberlist. This
 * file is the whole public interface.
 *
 * What the package keeps to: nothing that comes from the network throws or grows without a bound;
 * every judgement is a pure function in rules/, so that all members judge alike; time, chance and
 * I/O enter through ports alone, so that a run can be repeated. It depends on nothing but Node, and
 * knows nothing of what it is used for.
 */
export { Memberlist, type MemberlistOptions } from './memberlist.ts'
export type { MemberlistEvent, MemberlistEvents } from './events.ts'
export type { Delegate } from './delegate.ts'
export { isPresent, type Member, type MemberState, type Versions } from './member.ts'
export {
  lan,
  local,
  presets,
  wan,
  type Compression,
  type Config,
  type ConfigInput,
  type PresetName,
} from './config.ts'
export type { EncryptionVersion } from './wire/layers/crypt.ts'
export { formatAddress, type SocketAddress } from './socket-address.ts'
export { Keyring } from './keyring.ts'
export { MemberlistError, type MemberlistErrorCode } from './errors.ts'
export type { JoinResult } from './core/joining/joiner.ts'
export type { Clock, Timer } from './ports/clock.ts'
export type { Random } from './ports/random.ts'
export { systemClock } from './ports/system-clock.ts'
export { systemRandom } from './ports/system-random.ts'
export { VirtualClock } from './ports/virtual-clock.ts'
export { seededRandom } from './ports/seeded-random.ts'
export type { Stream, Transport } from './transport/transport.ts'
export { SocketTransport, type SocketTransportOptions } from './transport/socket.ts'
export {
  MemoryNetwork,
  type LinkConditions,
  type MemoryNetworkOptions,
} from './transport/memory.ts'
