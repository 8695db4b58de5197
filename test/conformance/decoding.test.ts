import { expect } from 'chai'
import { cidrOf, parseCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import { FakeEngine, engineVersions } from '../support/fake-engine.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'
import { type HandledCall, recordingHandlers } from '../support/recording-handlers.ts'
import { recordingOf, replay, scenariosOf } from './recordings.ts'

/** A body as the engine wrote it. */
interface Body {
  readonly NetworkID: string
  readonly EndpointID: string
  readonly SandboxKey: string
  readonly PoolID: string
  readonly Address: string
  readonly AddressSpace: string
  readonly Pool: string
  readonly V6: boolean
  readonly Options: Readonly<Record<string, unknown>> | null
  readonly Interface: { Address: string; AddressIPv6: string; MacAddress: string }
  readonly IPv4Data: readonly PoolBody[]
  readonly IPv6Data: readonly PoolBody[]
}

interface PoolBody {
  readonly AddressSpace: string
  readonly Pool: string
  readonly Gateway: string
}

/** What an address with a length says, told without the parser that the plugin uses. */
function inCidr(text: string): { ip: string; cidr: string } {
  const [ip, length] = text.split('/') as [string, string]
  return { ip, cidr: cidrOf(parseIp(ip)!, Number(length)) }
}

function poolsOf(body: Body): unknown[] {
  return [...body.IPv4Data, ...body.IPv6Data].map((data) => ({
    addressSpace: data.AddressSpace,
    // One recording has a pool with host bits.
    pool: data.Pool.replace('10.99.0.7/24', '10.99.0.0/24'),
    gateway: inCidr(data.Gateway),
    aux: {},
  }))
}

/** The call that a recorded request stands for; null when no handler is to hear of it. */
function expectedCall(name: string, text: string | null): HandledCall | null {
  if (text === null) return null
  const body = JSON.parse(text) as Body
  const method = name.split('.')[1]!.replace(/^./, (letter) => letter.toLowerCase())
  switch (method) {
    case 'createNetwork': {
      const options = body.Options!['com.docker.network.generic']
      const call = { networkId: body.NetworkID, options, internal: false, pools: poolsOf(body) }
      return { method, args: [call] }
    }
    case 'deleteNetwork':
      return { method, args: [body.NetworkID] }
    case 'createEndpoint': {
      const { Address, AddressIPv6, MacAddress } = body.Interface
      const addresses = [Address, AddressIPv6].filter((address) => address !== '').map(inCidr)
      const mac = MacAddress === '' ? null : MacAddress
      const { NetworkID: networkId, EndpointID: endpointId, Options: options } = body
      return { method, args: [{ networkId, endpointId, addresses, mac, options }] }
    }
    case 'join': {
      const { NetworkID: networkId, EndpointID: endpointId, SandboxKey: sandboxKey } = body
      return { method, args: [{ networkId, endpointId, sandboxKey }] }
    }
    case 'leave':
    case 'deleteEndpoint':
      return { method, args: [body.NetworkID, body.EndpointID] }
    case 'requestPool': {
      const { AddressSpace: space, Pool, V6: ipv6 } = body
      return { method, args: [{ space, pool: parseCidr(Pool), subPool: null, options: {}, ipv6 }] }
    }
    case 'releasePool':
      return { method, args: [body.PoolID] }
    case 'requestAddress': {
      const gateway = body.Options !== null && 'RequestAddressType' in body.Options
      const address = body.Address === '' ? null : body.Address
      const name = body.Options?.['com.docker.network.endpoint.name'] ?? null
      return { method, args: [{ poolId: body.PoolID, address, gateway, name }] }
    }
    case 'releaseAddress':
      return { method, args: [{ poolId: body.PoolID, address: body.Address }] }
    default:
      return null
  }
}

describe('the recorded requests', () => {
  it('are all there', () => {
    const requests = engineVersions.flatMap((version) => recordingOf(version))
    expect(requests.filter(({ made }) => made !== true)).to.have.length(730)
  })

  for (const version of engineVersions)
    for (const role of ['managed', 'legacy'] as const)
      describe(`of ${version}, at the ${role} socket`, () => {
        let subject: ServerUnderTest
        let engine: FakeEngine
        let handled: HandledCall[]

        beforeEach(async () => {
          handled = []
          subject = await startServer({ handlers: recordingHandlers(handled) })
          engine = new FakeEngine({ socket: subject[role], version })
        })
        afterEach(async () => {
          engine.close()
          await subject.dispose()
        })

        for (const [scenario, requests] of scenariosOf(version))
          it(`each reach a handler as what they say: ${scenario}`, async () => {
            for await (const { recorded, body } of replay(engine, requests)) {
              const expected = expectedCall(recorded.call, body)
              expect(handled.splice(0), `${recorded.step}: ${recorded.call} ${body}`).to.deep.equal(
                expected === null ? [] : [expected],
              )
            }
            expect(subject.bugs).to.deep.equal([])
          })
      })
})
