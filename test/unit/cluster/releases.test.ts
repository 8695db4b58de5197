import { expect } from 'chai'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import type { SyncProtocol } from '../../../src/cluster/sync/protocol.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { Fixture } from './fixture.ts'

/*
 * Hosts of this release and of a later one in one cluster: what this one does not know must get
 * past it, and must not keep it from knowing the rest.
 */

type Way = (from: string, to: string, bytes: Uint8Array) => Uint8Array | null

/**
 * Members that know one another, each with its protocol running; `way` says what becomes of a
 * message.
 */
function membersOver(
  way: Way,
  names: readonly string[],
): Map<string, Fixture & { it: SyncProtocol }> {
  const clock = new VirtualClock()
  const fixtures = new Map<string, Fixture & { it: SyncProtocol }>()
  for (const name of names) {
    const send = (to: string, bytes: Uint8Array): void => {
      const copy = way(name, to, bytes.slice())
      if (copy !== null) clock.setTimeout(() => fixtures.get(to)?.it.onMessage(copy), 1)
    }
    const fixture = new Fixture({ name, clock, send })
    fixtures.set(name, Object.assign(fixture, { it: fixture.exchange() }))
  }
  for (const fixture of fixtures.values()) {
    fixture.it.open()
    fixture.it.start()
    fixture.member('alive', ...names.filter((name) => name !== fixture.members.all()[0]!.name))
  }
  return fixtures
}

const rootOf = (fixture: Fixture): string => JSON.stringify(fixture.replica.digest.root())

/** A kind that this release has no name for, and a key. */
const idOf = (key: string): string => `\u0063${key}`

/**
 * The message as a later release might send it: its deltas have a flag, and more, that nobody knows
 * yet.
 */
function asLater(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes)
  const out = new ByteWriter().packed(reader.packed(10))
  while (reader.left > 0) {
    const kind = reader.uint(1)
    const body = reader.packed(reader.varint())
    const more = '\u0005later'
    const flags = String.fromCharCode(body.charCodeAt(14) | 0x10)
    const later = kind === 1 ? body.slice(0, 14) + flags + more + body.slice(15) : body
    out.uint(kind, 1).block(later)
  }
  return out.bytes()
}

describe('cluster/releases', () => {
  it('passes on kinds of records that it does not know, as news and to who asks', async () => {
    let isCut = true
    const fixtures = membersOver(
      (from, to, bytes) => {
        const ends = [from, to]
        if (ends.includes('c') && (isCut || ends.includes('a'))) return null
        return bytes
      },
      ['a', 'b', 'c'],
    )
    const [a, b, c] = [fixtures.get('a')!, fixtures.get('b')!, fixtures.get('c')!]
    const seen = (key: string): string | null =>
      c.replica.origin(a.replica.self.oid)?.log.value(idOf(key)) ?? null
    a.it.set(idOf('old'), 'a value of tomorrow')
    a.it.set(idOf('gone'), 'another')
    await a.clock.advance(2000)
    expect(b.replica.origin(a.replica.self.oid)?.log.value(idOf('old'))).to.equal(
      'a value of tomorrow',
    )
    a.it.set(idOf('gone'), null)
    await a.clock.advance(2000)
    expect(seen('old')).to.equal(null)
    isCut = false
    await a.clock.advance(10_000)
    expect([seen('old'), seen('gone')]).to.deep.equal(['a value of tomorrow', null])
    a.it.set(idOf('new'), 'one more')
    await a.clock.advance(200)
    expect(seen('new'), 'as news').to.equal('one more')
    expect(new Set([a, b, c].map(rootOf)).size, 'roots').to.equal(1)
    for (const fixture of [a, b, c]) fixture.it.close()
  })

  it('reads what it knows of a delta that says more', async () => {
    const fixtures = membersOver(
      (from, _to, bytes) => (from === 'later' ? asLater(bytes) : bytes),
      ['later', 'b'],
    )
    const [later, b] = [fixtures.get('later')!, fixtures.get('b')!]
    for (let i = 0; i < 1000; i++) later.it.set(idOf(`${i}`), 'value')
    await later.clock.advance(5000)
    const origin = b.replica.origin(later.replica.self.oid)
    expect(origin?.log.size).to.equal(1000)
    expect(b.replica.incomplete.size, 'incomplete').to.equal(0)
    expect(rootOf(b)).to.equal(rootOf(later))
    for (const fixture of [later, b]) fixture.it.close()
  })
})
