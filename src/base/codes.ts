/**
 * The codes of errors and findings, for people and programs: answers and log lines end with the
 * code in brackets, and docs/errors.md says what each means and what to do. A code is never reused.
 */

/** What a refusal or a failure is about. `BUG` is anything else that was thrown. */
export const errorCodes = [
  'ADDRESS_CONFLICT',
  'ADDRESS_IN_USE',
  'ADDRESS_OUT_OF_POOL',
  'BAD_REQUEST',
  'BAD_SETTING',
  'BUG',
  'DEADLINE',
  'EMPTY_BODY',
  'ENDPOINT_NOT_FOUND',
  'ENGINE',
  'KERNEL',
  'MEMBER_ALIVE',
  'MEMBER_AWAY',
  'MEMBER_ERROR',
  'MEMBER_UNKNOWN',
  'NETWORK_EXISTS',
  'NETWORK_NOT_FOUND',
  'NOT_ADMITTED',
  'OPTION_INVALID',
  'OPTION_UNKNOWN',
  'OVERLAY_CONFLICT',
  'POOL_EXHAUSTED',
  'POOL_IN_USE',
  'POOL_NOT_FOUND',
  'POOL_OVERLAP',
  'QUORUM',
  'SOCKET',
  'STORE',
  'UNKNOWN_METHOD',
  'UNSUPPORTED',
  'VNI_IN_USE',
] as const

/** What a finding is about. */
export const findingCodes = [
  'ADDRESS_DUPLICATE',
  'ADDRESS_LOST',
  'CERTIFICATE_EXPIRING',
  'CLAIM_IGNORED',
  'CLOCK_SKEW',
  'HOST_NOT_ADMITTED',
  'HOST_REFUSED',
  'MAC_DUPLICATE',
  'NAMES_OFF',
  'NETWORK_CLASH',
  'NETWORK_KEPT',
  'NETWORK_PUT_BACK',
  'OVERLAY_ENCRYPTION',
  'OVERLAY_MTU',
  'OVERLAY_MULTICAST',
  'OVERLAY_PORT',
  'OVERLAY_SUBNETS',
  'OVERLAY_UNDERLAY',
  'OVERLAY_VNI',
  'POOL_SHARED',
  'TUNNEL_BLOCKED',
  'TUNNEL_LOSS',
  'TUNNEL_MTU',
  'TUNNEL_ONE_WAY',
  'UNDERLAY_MTU',
  'VNI_SHARED',
  'WIREGUARD_OFF',
  'WIREGUARD_SILENT',
] as const

/** What happens and is kept for `GET /events`; docs/operating.md lists them. */
export const eventKinds = [
  'cluster-joined',
  'drift-repaired',
  'finding-over',
  'finding-started',
  'member-back',
  'member-dead',
  'member-evicted',
  'member-joined',
  'member-left',
  'member-moved',
  'network-created',
  'network-deleted',
  'plugin-started',
  'subnet-added',
] as const

export type EventKind = (typeof eventKinds)[number]
export type ErrorCode = (typeof errorCodes)[number]
export type FindingCode = (typeof findingCodes)[number]
