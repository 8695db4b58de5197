import { expect } from 'chai'
import { refusal } from '../../../src/base/errors.ts'
import { createLogger } from '../../../src/base/logger.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { ownAddress } from '../../../src/host/advertise-address.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { savedValue } from '../../../src/wiring/ports/saved-value.ts'

const [first, second] = ['192.0.2.1', '192.0.2.2'] as Ip[] as [Ip, Ip]

describe("the host's own address", () => {
  let store: MemoryStore
  let log: string[]

  beforeEach(() => {
    store = new MemoryStore()
    log = []
  })

  /** On a host that has `addresses`, the first of them behind the default route. */
  function found(setting: Ip | null, addresses: readonly Ip[]): Promise<Ip> {
    return ownAddress({
      saved: savedValue<Ip>(store, 'cluster', 'address'),
      setting,
      logger: createLogger((line) => log.push(line)).logger,
      routed: async () => {
        if (addresses[0] === undefined) throw refusal('BAD_SETTING', 'no route')
        return addresses[0]
      },
      check: async (address) => {
        if (!addresses.includes(address)) throw refusal('BAD_SETTING', `no ${address}`)
      },
    })
  }
  async function faultOf(promise: Promise<unknown>): Promise<string> {
    return promise.then(
      () => expect.fail('there is one'),
      (error: Error) => error.message,
    )
  }

  it("is the setting, else the default route's", async () => {
    expect(await found(second, [first, second])).to.equal(second)
    expect(await found(null, [first, second])).to.equal(first)
    expect(log).to.deep.equal([])
  })

  it('is refused when the host never had it', async () => {
    expect(await faultOf(found(second, [first]))).to.equal(`no ${second}`)
    expect(await faultOf(found(null, []))).to.equal('no route')
  })

  it('is believed, with a warning, when the network is not there yet at a later start', async () => {
    await found(first, [first])
    expect(await found(first, [])).to.equal(first)
    expect(await found(null, [])).to.equal(first)
    expect(log).to.have.length(2)
    expect(log[0]).to.match(/warn .*no 192\.0\.2\.1; going on with 192\.0\.2\.1/)
  })

  it('is refused when it was changed to a wrong one', async () => {
    await found(first, [first])
    expect(await faultOf(found(second, [first]))).to.equal(`no ${second}`)
  })

  it('follows the host to another address', async () => {
    await found(null, [first])
    expect(await found(null, [second])).to.equal(second)
    expect(await found(null, [])).to.equal(second)
  })
})
