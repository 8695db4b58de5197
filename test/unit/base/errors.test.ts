import { expect } from 'chai'
import { rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { assert, attempt, failure, isBug, refusal } from '../../../src/base/errors.ts'
import { NetlinkError } from '../../../src/dataplane/linux/netlink/netlink-socket.ts'

/** What `work` throws. */
const thrownBy = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('an error', () => {
  it('is no bug when it is one of ours, of the kernel or of the system', async () => {
    const missing: unknown = await readFile('/no/such/file').catch((error: unknown) => error)
    for (const error of [
      refusal('BAD_REQUEST', 'x'),
      failure('KERNEL', 'x'),
      new NetlinkError(16, 'x'),
      new NetlinkError(524, 'a number without a name'),
      missing,
      thrownBy(() => rmSync(import.meta.dirname)),
    ])
      expect(isBug(error), String(error)).to.equal(false)
  })

  it('is a bug when it is anything else', () => {
    for (const error of [
      thrownBy(() => assert(false, 'x')),
      thrownBy(() => (undefined as unknown as { x: 1 }).x),
      thrownBy(() => Buffer.alloc(1).readUInt32LE(0)),
      'text',
      undefined,
    ])
      expect(isBug(error), String(error)).to.equal(true)
  })
})

describe('base/errors attempt', () => {
  it('hands a failure to its handler and throws a bug on, with promises and without', async () => {
    const fails = () => Promise.reject(failure('STORE', 'disk full'))
    const message = (text: string) => text
    expect(await attempt(fails, message)).to.equal('disk full')
    expect(await attempt(async () => 7, message)).to.equal(7)
    const throws = (error: Error) => () => {
      throw error
    }
    expect(attempt(throws(failure('STORE', 'disk full')), message)).to.equal('disk full')
    expect(() => attempt(throws(new TypeError('bug')), message)).to.throw(TypeError)
    const bug = await attempt(() => Promise.reject(new TypeError('bug')), message).catch(
      (error: unknown) => error,
    )
    expect(bug).to.be.instanceOf(TypeError)
  })
})
