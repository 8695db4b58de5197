import type { GossipMember } from '../gossip/gossip-transport.ts'
import type { Frame } from './frames.ts'
import { decodeMeta } from './piggyback.ts'

/**
 * How far the epoch of a member may be ahead of our time of day. An epoch is the time of a start:
 * beyond is only a clock that is wrong by a year, or a member that lies. What a lie within the year
 * displaces, its owner writes again in the next epoch; the bound moves on with the time.
 */
const maxAheadMs = 365 * 86_400_000
/** Its owner may be above what was plausible when another member said so. */
const metaSlackMs = 86_400_000

/** Whether no epoch in a frame is too far ahead; `wallMs` is our time of day. */
export function hasPlausibleEpochs(frame: Frame, wallMs: number): boolean {
  return epochsOf(frame).every((epoch) => epoch <= wallMs + maxAheadMs)
}

/** A member without its metadata when its epoch in them is too far ahead. */
export function withPlausibleEpoch(member: GossipMember, wallMs: number): GossipMember {
  const epoch = decodeMeta(member.meta)?.epoch ?? 0
  return epoch <= wallMs + maxAheadMs + metaSlackMs ? member : { ...member, meta: new Uint8Array() }
}

function epochsOf(frame: Frame): readonly number[] {
  if (frame.kind === 'delta') return [frame.delta.epoch]
  if (frame.kind === 'leave') return [frame.epoch]
  if (frame.kind === 'summaries') return frame.summaries.map(({ epoch }) => epoch)
  if (frame.kind === 'deltaRequest') return frame.requests.map(({ epoch }) => epoch)
  return []
}
