import { expect } from 'chai'
import { certificateValidityMs } from '../../../src/identity/certificates/rules.ts'
import type { Grant } from '../../../src/identity/enrolment/messages.ts'
import {
  type IdentityStore,
  MemberIdentity,
  certificateRenewal,
} from '../../../src/identity/member-identity.ts'
import { startMs, testAuthority, testMember } from './people.ts'
import { VirtualWorld } from './virtual-world.ts'

function memoryStore() {
  const rows = new Map<string, unknown>()
  const store: IdentityStore = {
    get: (key) => structuredClone(rows.get(key)),
    write: async (changes) => {
      for (const { key, value } of changes) rows.set(key, JSON.parse(JSON.stringify(value)))
    },
  }
  return { rows, store }
}

const authority = testAuthority()

function grantFor(identity: MemberIdentity, now: number): Grant {
  const { pem } = testMember(authority, 'host1', '192.0.2.1', { now, key: identity.key })
  return {
    certificate: pem,
    authority: authority.pem,
    currentEpoch: 3,
    keys: [{ epoch: 3, key: Buffer.alloc(32, 7).toString('base64') }],
    voters: ['192.0.2.2:7946'],
    evicted: ['ab'.repeat(32)],
    wall: now,
  }
}

describe('identity/member-identity', () => {
  it('has one key for each disk, and its standing after a restart', async () => {
    const { store } = memoryStore()
    const first = await MemberIdentity.load(store)
    expect(first.standing).to.equal(null)
    await first.adopt(grantFor(first, startMs))
    const again = await MemberIdentity.load(store)
    expect(again.id).to.equal(first.id)
    const { certificate, keys, voters, evicted } = again.standing!
    expect(certificate.identity).to.equal(first.id)
    expect(keys).to.deep.equal({
      current: 3,
      keys: [{ epoch: 3, key: new Uint8Array(32).fill(7) }],
    })
    expect(voters).to.deep.equal(['192.0.2.2:7946'])
    expect(evicted.has('ab'.repeat(32))).to.equal(true)
    expect((await MemberIdentity.load(memoryStore().store)).id).to.not.equal(first.id)
  })

  it('says what to do when the disk holds something else', async () => {
    const { rows, store } = memoryStore()
    rows.set('key', 'no key')
    const loaded = await MemberIdentity.load(store).catch((error: Error) => error.message)
    expect(loaded).to.match(/key cannot be read: empty its state/)
  })

  it('renews its certificate in time, and says how long it has while it cannot', async () => {
    const world = new VirtualWorld()
    const identity = await MemberIdentity.load(memoryStore().store)
    const clock = world.clock()
    await identity.adopt(grantFor(identity, clock.wall()))
    const warnings: string[] = []
    let renewals = 0
    let isAway = true
    const renewal = certificateRenewal({
      clock,
      identity,
      warn: (text) => warnings.push(text),
      renew: async () => {
        renewals++
        if (isAway) throw Object.assign(new Error('no voter answers'), { code: 'ECONNREFUSED' })
        await identity.adopt(grantFor(identity, clock.wall()))
      },
    })
    const pass = async (ms: number): Promise<void> => {
      for (let hour = 0; hour < ms / 3_600_000; hour++) await world.advance(3_600_000)
    }
    renewal.start()
    await pass(0.65 * certificateValidityMs)
    expect(renewals).to.equal(0)
    await pass(0.1 * certificateValidityMs)
    expect(renewals).to.be.greaterThan(1)
    expect(warnings.length).to.equal(1)
    expect(warnings[0]).to.match(/certificate expires in \d\d d and .*no voter answers/)
    isAway = false
    await pass(2 * 3_600_000)
    const after = renewals
    await pass(0.5 * certificateValidityMs)
    expect(renewals).to.equal(after)
    renewal.stop()
  })
})
