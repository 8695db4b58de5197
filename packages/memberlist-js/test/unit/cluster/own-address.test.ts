import { networkInterfaces } from 'node:os'
import { expect } from 'chai'
import { Keyring, Memberlist, SocketTransport } from 'memberlist-js'
import { bytes } from '../../support/cluster.ts'

/** Addresses that are this machine's, beside the one that it advertises. */
const further = [
  '127.0.1.1',
  'localhost',
  ...Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address),
]

describe('a member whose seeds are further addresses of its own', () => {
  const lists: Memberlist[] = []
  afterEach(async () => {
    await Promise.all(lists.splice(0).map(async (list) => await list.close()))
  })

  async function listen(name: string, keyring?: Keyring): Promise<Memberlist> {
    const advertise = { address: '127.0.0.1' }
    const transport = await SocketTransport.bind({ port: 0, advertise })
    const list = new Memberlist({ name, transport, ...(keyring && { keyring }) })
    lists.push(list)
    list.start()
    return list
  }

  for (const keyring of [undefined, new Keyring([bytes('sixteen bytes...')])]) {
    it(`joins nobody and complains of nothing, ${keyring ? 'with' : 'without'} a key`, async () => {
      const list = await listen('only', keyring)
      const seeds = further.map((host) => `${host}:${list.local.port}`)
      expect(await list.join(seeds)).to.deep.equal({ contacted: 0, own: 3, errors: [] })
      expect([...list.members.keys()]).to.deep.equal(['only'])
    })
  }

  it('counts another member that it reaches by such an address', async () => {
    const [first, second] = [await listen('first'), await listen('second')]
    const seeds = [first.local.port, second.local.port].map((port) => `127.0.1.1:${port}`)
    expect(await second.join(seeds)).to.deep.equal({ contacted: 1, own: 1, errors: [] })
    expect([...second.members.keys()].sort()).to.deep.equal(['first', 'second'])
  })
})
