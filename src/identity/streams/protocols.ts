/** The application protocols (RFC 7301) on the gossip port. */
export const memberProtocol = 'ts-overlay-member/1'
export const enrolmentProtocol = 'ts-overlay-enrolment/1'

/**
 * What is read before the other side has shown who it is: a handshake with certificates has some
 * 2 KB.
 */
export const maxHandshakeBytes = 16 * 1024
