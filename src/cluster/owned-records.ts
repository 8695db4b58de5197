/** Records together with whose they are. */
import type { Ip } from '../net/ip.ts'
import { visibleRecords } from './log/origin.ts'
import type { OwnRecords } from './log/own-records.ts'
import type { Replica } from './log/replica.ts'
import type { Member, MemberTable } from './members/member-table.ts'
import { type AnyRecord, RecordFault, type RecordType } from './wire/record-type.ts'

/** A record, whose it is and whether it is visible. */
export interface OwnedRecord<R extends AnyRecord> {
  readonly origin: string
  /** The origin's VTEP. */
  readonly address: Ip
  readonly self: boolean
  /** False for a dead member's. */
  readonly visible: boolean
  readonly record: R
}

/** All records of a type: ours as last put, then the others'. Decodes while it goes. */
export function* ownedRecords<R extends AnyRecord>(
  replica: Replica,
  own: OwnRecords,
  type: RecordType<R>,
  hidden: boolean,
): Generator<OwnedRecord<R>> {
  for (const origin of replica.origins) {
    const { name, address, self, standing, log } = origin
    const visible = standing === 'visible'
    if (name === null || address === null || !(visible || (hidden && standing === 'hidden')))
      continue
    const records = self ? own.all() : visible ? visibleRecords(origin) : log.live()
    for (const [id, value] of records) {
      if (id.charCodeAt(0) !== type.number) continue
      const record = type.decode(id.slice(1), value)
      if (!(record instanceof RecordFault)) yield { origin: name, address, self, visible, record }
    }
  }
}

/** Whether everything that the member with this VTEP has published is here, or it has gone. */
export function hasAllOf(address: Ip, members: MemberTable, replica: Replica): boolean {
  const there = members.at(address)
  return there.length > 0 && there.every((member) => isComplete(member, replica))
}

function isComplete({ self, state, restarting, oid, epoch }: Member, replica: Replica): boolean {
  const isGone = state === 'left' || (state === 'dead' && restarting !== true)
  if (self || isGone) return true
  const origin = replica.origin(oid)
  if (origin === undefined || origin.log.epoch < epoch) return false
  return origin.log.complete && origin.shown === null
}
