/** What a member answers to a host that asks to be enrolled, or for another certificate. */
import { failure, isBug, messageOf } from '../../base/errors.ts'
import type { RoomFindings } from '../../base/findings.ts'
import type { Logger } from '../../base/logger.ts'
import type { ConsensusClient } from '../../consensus/ports.ts'
import {
  type RegisteredMember,
  decideEnrolment,
  grantFor,
  ownCopyFault,
} from '../../identity/enrolment/authority.ts'
import type { BoundQuestion } from '../../identity/enrolment/enrolment.ts'
import type { Answer, Grant } from '../../identity/enrolment/messages.ts'
import type { AdmissionSection } from './admission-section.ts'
import { submit } from './commands.ts'
import type { HostParts } from './standing.ts'

export interface AdmissionParts extends HostParts {
  readonly consensus: Pick<ConsensusClient, 'submit' | 'query' | 'isLeader'>
  /** This member's copy of the state; as of now where it leads. */
  readonly section: AdmissionSection
  /** Where the voters listen, the leader first, as `host:port`. */
  readonly voters: () => readonly string[]
  /** Live members, this one first, as JOIN names them. */
  readonly members: () => readonly string[]
  /** Where other members were, as `host:port`. */
  readonly known: () => readonly string[]
  /** Whether gossip has a live member of that name. */
  readonly isAlive: (member: string) => boolean
  /** Between two rotations. */
  readonly rotationMs: number
  readonly findings: RoomFindings
  readonly logger: Logger
  /** When this host began to try, monotonic, ms. */
  readonly startedMs: number
  /** This host is a member now, or again. */
  readonly onMember: () => void
}

export const copyRemedy = 'empty the state of the copy, and join it with a token'

/** Decides while this member leads, else says who may. A copy of its own disk gets nothing. */
export async function answerTo(parts: AdmissionParts, question: BoundQuestion): Promise<Answer> {
  const { consensus, section, voters, isAlive, identity, name, address, port, memberAt } = parts
  const copy = ownCopyFault(question, { identity: identity.id, address })
  if (copy !== null) return { refusal: `${name}: ${copy}; ${copyRemedy}`, why: 'other' }
  if (!consensus.isLeader()) return { voters: [...voters()] }
  const rules = {
    clock: parts.clock,
    random: parts.random,
    state: () => section.authorityState(voters(), isAlive),
    register: (member: RegisteredMember, tokenId: string | null) =>
      register(parts, member, tokenId),
    isThere: async (member: RegisteredMember) =>
      (await memberAt({ address: member.address, port }))?.identity === member.identity,
  }
  return await decideEnrolment(rules, question)
}

async function register(
  { consensus }: AdmissionParts,
  member: RegisteredMember,
  tokenId: string | null,
): Promise<string | null> {
  try {
    await submit(consensus, 'enrol', { member, tokenId })
    return null
  } catch (error) {
    if (isBug(error)) throw error
    return messageOf(error)
  }
}

/** Who has the authority grants to itself, without a stream. */
export async function ownGrant(parts: AdmissionParts): Promise<Grant> {
  const { identity, section, clock, random, name, address, voters } = parts
  const state = section.authorityState(voters())
  if (state === null) throw failure('NOT_ADMITTED', 'no authority is agreed on yet')
  return await grantFor({ clock, random }, state, { name, address }, identity.key.publicKey)
}
