/** Commands and questions about admission, to the replicated state. */
import { failure } from '../../base/errors.ts'
import type { ConsensusClient } from '../../consensus/ports.ts'
import type { Outcome } from '../../consensus/state/section.ts'

/** Longer than an election takes. */
const timeoutMs = 5000

/** Has a command applied. Rejects with NOT_ADMITTED when it is refused, with QUORUM. */
export async function submit(
  consensus: Pick<ConsensusClient, 'submit'>,
  op: string,
  fields: object,
): Promise<unknown> {
  return outcomeOf(await consensus.submit(encode({ op, ...fields }), { timeoutMs }))
}

/**
 * What is granted as of now, by its digest, which is empty before a cluster was founded; and where
 * the member with that key is registered.
 */
export async function grantsNow(
  consensus: Pick<ConsensusClient, 'query'>,
  identity: string,
): Promise<{ readonly digest: string; readonly address?: string }> {
  return outcomeOf(await consensus.query(encode({ op: 'grants', identity }), { timeoutMs }))
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function outcomeOf<T>(bytes: Uint8Array): T {
  const outcome = JSON.parse(new TextDecoder().decode(bytes)) as Outcome<T>
  if ('ok' in outcome) return outcome.ok
  const { code } = outcome.refused
  const reasons: Partial<Record<typeof code, string>> = {
    EVICTED: 'it was evicted: join it with a new token',
    NOT_HELD: 'its token has expired, was used up, or was removed',
    QUOTA: 'the cluster has as many as it may have',
    UNKNOWN_MEMBER: 'it is no member: join it with a token',
  }
  throw failure('NOT_ADMITTED', reasons[code] ?? `the cluster refuses: ${code}`)
}
