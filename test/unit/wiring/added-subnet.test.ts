import { expect } from 'chai'
import { OverlayError } from '../../../src/base/errors.ts'
import { addSubnet } from '../../../src/wiring/added-subnet.ts'

const networks = [
  { networkId: 'aaa1', overlayId: '10.1.0.0/16' },
  { networkId: 'aab2', overlayId: 'blue' },
  { networkId: 'blue', overlayId: '10.3.0.0/16' },
]

describe('a subnet that is added by command', () => {
  async function added(network: string, subnet = '10.9.0.0/16'): Promise<string> {
    let found = ''
    const driver = {
      networks: () => networks,
      addSubnet: async (networkId: string, cidr: string) => void (found = `${networkId} ${cidr}`),
    }
    const names: Record<string, string> = { aaa1: 'prod net' }
    const replicator = { nameOf: (id: string) => names[id] ?? null }
    const rooms = { driver, replicator } as unknown as Parameters<typeof addSubnet>[0]
    await addSubnet(rooms, network, subnet).catch((error: unknown) => {
      found = (error as OverlayError).code
    })
    return found
  }

  it('goes to the network of that name, overlay or id', async () => {
    for (const [text, wanted] of [
      ['prod net', 'aaa1 10.9.0.0/16'],
      ['10.1.0.0/16', 'aaa1 10.9.0.0/16'],
      ['aab', 'aab2 10.9.0.0/16'],
      ['blue', 'aab2 10.9.0.0/16'],
      ['aa', 'NETWORK_NOT_FOUND'],
      ['other', 'NETWORK_NOT_FOUND'],
    ] as const)
      expect(await added(text), text).to.equal(wanted)
  })

  it('is a prefix', async () => {
    for (const subnet of ['10.9.0.1/16', '10.9.0.0', 'x'])
      expect(await added('blue', subnet), subnet).to.equal('BAD_REQUEST')
  })
})
