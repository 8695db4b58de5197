import { expect } from 'chai'
import type { Grant } from '../../../src/identity/enrolment/messages.ts'
import { generateKeyPair } from '../../../src/identity/certificates/keys.ts'
import { type IdentityStore, MemberIdentity } from '../../../src/identity/member-identity.ts'
import { startMs, testAuthority, testMember } from './people.ts'

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

function grantFor(identity: Pick<MemberIdentity, 'key'>, now: number): Grant {
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

  it('changes its key with a grant, and has it after a restart', async () => {
    const { store } = memoryStore()
    const identity = await MemberIdentity.load(store)
    const former = identity.id
    const key = generateKeyPair()
    await identity.adopt(grantFor({ key }, startMs), key)
    expect(identity.id).to.not.equal(former)
    const again = await MemberIdentity.load(store)
    expect(again.id).to.equal(identity.id)
    expect(again.standing!.certificate.identity).to.equal(identity.id)
  })

  it('says what to do when the disk holds something else', async () => {
    const { rows, store } = memoryStore()
    rows.set('key', 'no key')
    const loaded = await MemberIdentity.load(store).catch((error: Error) => error.message)
    expect(loaded).to.match(/key cannot be read: empty its state/)
  })
})
