/** Records together with whose they are. */
import type { Ip } from '../net/ip.ts'
import type { OwnRecords } from './log/own-records.ts'
import { type RecordKind, type RecordOf, decodeRecord, isOfKind } from './wire/records.ts'
import { visibleRecords } from './log/origin.ts'
import type { Replica } from './log/replica.ts'

/** A record, whose it is and whether it counts. */
export interface OwnedRecord<K extends RecordKind> {
  readonly origin: string
  /** The origin's VTEP. */
  readonly address: Ip
  readonly self: boolean
  /** False for a dead member's. */
  readonly visible: boolean
  readonly record: RecordOf<K>
}

/** All records of a kind: ours as last put, then the others'. Decodes while it goes. */
export function* ownedRecords<K extends RecordKind>(
  replica: Replica,
  own: OwnRecords,
  kind: K,
  hidden: boolean,
): Generator<OwnedRecord<K>> {
  for (const origin of replica.origins) {
    const { name, address, self, standing, log } = origin
    const visible = standing === 'visible'
    if (name === null || address === null || !(visible || (hidden && standing === 'hidden')))
      continue
    const records = self ? own.all() : visible ? visibleRecords(origin) : log.live()
    for (const [id, value] of records) {
      const record = isOfKind(id, kind) ? decodeRecord(id, value) : null
      if (record === null) continue
      yield { origin: name, address, self, visible, record: record as RecordOf<K> }
    }
  }
}
