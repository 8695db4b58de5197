import { expect } from 'chai'
import { seededRandom } from '../../../../src/base/random.ts'
import { AgreedState } from '../../../../src/consensus/state/agreed-state.ts'
import { pemOfKey } from '../../../../src/identity/certificates/keys.ts'
import { newJoinToken, tokenId } from '../../../../src/identity/enrolment/join-token.ts'
import { digestOfGrants } from '../../../../src/identity/packets/gossip-keys.ts'
import { AdmissionSection } from '../../../../src/wiring/admission/admission-section.ts'
import { decode, encode } from '../../../support/agreed-machine.ts'
import { testAuthority } from '../../identity/people.ts'

const hourMs = 3_600_000

/** One voter's copy of the state; commands come from the member with that name. */
class Voter {
  section!: AdmissionSection
  readonly state = new AgreedState((members) => {
    this.section = new AdmissionSection(members)
    return { admission: this.section }
  })
  timeMs = 1_000_000
  #index = 0

  run(from: string, op: string, fields: object = {}): unknown {
    const at = { index: ++this.#index, timeMs: this.timeMs, version: this.state.version, from }
    return decode(this.state.apply(encode({ op, ...fields }), at))
  }
}

const identity = (digit: string): string => digit.repeat(64)
const host = (digit: string) => {
  return { name: `host${digit}`, identity: identity(digit), address: `192.0.2.${digit}` }
}
const random = seededRandom(1)
const authority = testAuthority()
const token = newJoinToken(identity('f'), random)
const ok = (result: unknown) => expect(result).to.have.property('ok')
const refused = (result: unknown, code: string) =>
  expect(result).to.have.nested.property('refused.code', code)

function founded(): Voter {
  const voter = new Voter()
  ok(
    voter.run('host1', 'foundAdmission', {
      keyPem: pemOfKey(authority.key),
      pem: authority.pem,
      token: { token, notAfter: null, usesLeft: null },
      gossipKey: '07'.repeat(32),
      founder: host('1'),
    }),
  )
  ok(voter.run('host1', 'renew', { id: identity('1') }))
  return voter
}

const used = tokenId(token)

describe('wiring/admission-section', () => {
  it('is founded once', () => {
    const voter = new Voter()
    expect(voter.section.authorityState([])).to.equal(null)
    const again = founded()
    const state = again.section.authorityState(['192.0.2.1:7946'])!
    expect(state.pem).to.equal(authority.pem)
    expect(state.keys.current).to.equal(1)
    expect(state.token(used)).to.deep.equal({ token, notAfter: null, usesLeft: null })
    const snapshot = again.state.snapshot()
    refused(
      again.run('host2', 'foundAdmission', {
        keyPem: pemOfKey(authority.key),
        pem: authority.pem,
        token: { token, notAfter: null, usesLeft: null },
        gossipKey: '08'.repeat(32),
        founder: host('2'),
      }),
      'IN_USE',
    )
    expect(again.state.snapshot()).to.deep.equal(snapshot)
  })

  it('tells no member a secret', () => {
    const voter = founded()
    const questions = Object.keys(voter.section.questions)
    for (const op of questions) {
      const answer = Buffer.from(voter.state.query(encode({ op }))).toString()
      for (const secret of [token.secret, 'PRIVATE', '07'.repeat(32)])
        expect(answer, op).to.not.include(secret)
    }
  })

  it('counts the uses of a token by identities, in its time', () => {
    const voter = founded()
    const limited = newJoinToken(identity('f'), random)
    const notAfter = voter.timeMs + hourMs
    ok(voter.run('host1', 'addToken', { token: limited, notAfter, usesLeft: 1 }))
    const enrol = (digit: string) =>
      voter.run('host1', 'enrol', { member: host(digit), tokenId: tokenId(limited) })
    ok(enrol('2'))
    ok(enrol('2'))
    refused(enrol('3'), 'NOT_HELD')
    voter.timeMs += 2 * hourMs
    refused(enrol('2'), 'NOT_HELD')
    ok(voter.run('host1', 'enrol', { member: host('3'), tokenId: used }))
    ok(voter.run('host1', 'removeTokens', { ids: [] }))
    refused(voter.run('host1', 'enrol', { member: host('4'), tokenId: used }), 'NOT_HELD')
  })

  it('ends the key of a host that comes back under its name with another one, or is evicted', () => {
    const voter = founded()
    const enrol = (member: object) => voter.run('host1', 'enrol', { member, tokenId: used })
    ok(enrol(host('2')))
    ok(voter.run('host2', 'renew', { id: 'aa' }))
    const anew = { ...host('2'), identity: identity('9') }
    ok(enrol(anew))
    ok(voter.run('host2', 'renew', { id: 'bb' }))
    refused(enrol(host('2')), 'EVICTED')
    ok(enrol(anew))
    ok(voter.run('host1', 'evict', { ids: ['bb'], lapsedMs: null }))
    refused(enrol(anew), 'EVICTED')
    const state = voter.section.authorityState([])!
    expect(state.evicted).to.deep.equal([identity('2'), identity('9')])
    expect(state.enrolled(identity('9'))).to.equal(undefined)
  })

  it('leaves the key of a host alone that leaves and comes back', () => {
    const voter = founded()
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: used }))
    ok(voter.run('host2', 'renew', { id: 'aa' }))
    ok(voter.run('host2', 'leave', { id: 'aa' }))
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: null }))
    expect(voter.section.authorityState([])!.evicted).to.deep.equal([])
  })

  it('knows of the members that are alive, whose names are taken', () => {
    const voter = founded()
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: used }))
    const alive = voter.section.authorityState([], (name) => name === 'host2')!.members()
    expect(Array.from(alive, ({ name }) => name)).to.deep.equal(['host2'])
  })

  it('has a digest of what it grants, which tells what is old and no secret', () => {
    const voter = founded()
    const digest = () => {
      type Answer = { ok: { digest: string } }
      return decode<Answer>(voter.state.query(encode({ op: 'grants' }))).ok.digest
    }
    const seen = [digest()]
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: used }))
    expect(digest()).to.equal(seen[0])
    ok(voter.run('host1', 'stepGossipKey', { current: 1, step: 'install', key: '08'.repeat(32) }))
    seen.push(digest())
    ok(voter.run('host2', 'renew', { id: 'aa' }))
    ok(voter.run('host1', 'evict', { ids: ['aa'], lapsedMs: null }))
    seen.push(digest())
    expect(new Set(seen).size).to.equal(3)
    const { keys, pem, evicted } = voter.section.authorityState([])!
    expect(digest()).to.equal(digestOfGrants(pem, keys, evicted))
  })

  it('renews a certificate for who was enrolled', () => {
    const voter = founded()
    const renew = (digit: string) =>
      voter.run('host1', 'enrol', { member: host(digit), tokenId: null })
    refused(renew('2'), 'UNKNOWN_MEMBER')
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: used }))
    ok(renew('2'))
  })

  it('steps a rotation once, from the epoch that was meant', () => {
    const voter = founded()
    const step = (current: number, name: string, key: string | null = null) =>
      voter.run('host1', 'stepGossipKey', { current, step: name, key })
    refused(step(1, 'install'), 'BAD_COMMAND')
    ok(step(1, 'install', '08'.repeat(32)))
    ok(step(1, 'install', '09'.repeat(32)))
    voter.timeMs += 5
    ok(step(1, 'use'))
    ok(step(1, 'use'))
    const state = voter.section.authorityState([])!
    expect(state.keys.current).to.equal(2)
    expect(state.keys.keys.map(({ key }) => key[0])).to.deep.equal([7, 8])
    const timing = { everyMs: hourMs, settleMs: 1000 }
    expect(voter.section.rotationDue(voter.timeMs + 999, timing)).to.equal(null)
    expect(voter.section.rotationDue(voter.timeMs + 1000, timing)).to.equal('remove')
    ok(step(2, 'remove'))
    expect(voter.section.authorityState([])!.keys.keys.map(({ epoch }) => epoch)).to.deep.equal([2])
  })

  it('rotates to a key that an evicted member never had', () => {
    const voter = founded()
    const timing = { everyMs: hourMs, settleMs: 1000 }
    const due = () => voter.section.rotationDue(voter.timeMs, timing)
    const step = (name: string, key: string | null = null) => {
      const { current } = voter.section.authorityState([])!.keys
      ok(voter.run('host1', 'stepGossipKey', { current, step: name, key }))
      voter.timeMs += 1000
    }
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: used }))
    ok(voter.run('host2', 'renew', { id: identity('2') }))
    step('install', '08'.repeat(32))
    ok(voter.run('host1', 'evict', { ids: [identity('2')], lapsedMs: null }))
    const steps: (string | null)[] = []
    for (let i = 0; i < 6; i++) {
      const next = due()
      steps.push(next)
      if (next !== null) step(next, next === 'install' ? '09'.repeat(32) : null)
    }
    expect(steps).to.deep.equal(['use', 'remove', 'install', 'use', 'remove', null])
    expect(voter.section.authorityState([])!.keys.keys.map(({ key }) => key[0])).to.deep.equal([9])
  })

  it('is the same after a snapshot', () => {
    const voter = founded()
    ok(voter.run('host1', 'enrol', { member: host('2'), tokenId: used }))
    ok(voter.run('host1', 'stepGossipKey', { current: 1, step: 'install', key: '08'.repeat(32) }))
    const copy = new Voter()
    copy.state.restore(voter.state.snapshot())
    expect(copy.state.snapshot()).to.deep.equal(voter.state.snapshot())
    const [one, two] = [voter, copy].map((each) => each.section.authorityState([])!)
    expect(two!.keys).to.deep.equal({
      ...one!.keys,
      keys: one!.keys.keys.map(({ epoch, key }) => ({ epoch, key: Buffer.from(key) })),
    })
    expect(two!.token(used)).to.deep.equal(one!.token(used))
  })

  it('answers whatever comes, and what it refuses changes nothing', () => {
    const voter = founded()
    const before = voter.state.snapshot()
    const odd = [undefined, null, 0, -1, 2 ** 60, 'x', [], {}, '0'.repeat(5000)]
    const ops = Object.keys(voter.section.operations).filter(
      (op) => op !== 'removeTokens' && op !== 'rotateGossipKey',
    )
    for (const op of ops)
      for (const value of odd)
        for (const field of ['member', 'token', 'current', 'ids', 'tokenId', 'keyPem'])
          expect(voter.run('host9', op, { [field]: value })).to.have.property('refused')
    expect(voter.state.snapshot()).to.deep.equal(before)
  })
})
