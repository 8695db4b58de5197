import { expect } from 'chai'
import { parseCidr } from '../../../src/net/cidr.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { Desk, keyOf } from './desk.ts'

/** What the plugin gives a call, ms; the engine gives it 30 s. */
const answerMostMs = 8000

const subnet = '10.10.0.0/24'
const id = `ts-overlay/${subnet}`

const poolWish = { space: 'ts-overlay', pool: null, subPool: null, options: {}, ipv6: false }
const anyAddress = { poolId: id, address: null, gateway: false }

/** Every call that may have to wait for others; h2 has a block that .100 is in, and lent .101 of it. */
const calls: Record<string, (host: SimulatedHost) => Promise<unknown>> = {
  'RequestPool of a new pool': ({ ipam }) =>
    ipam.requestPool({ ...poolWish, pool: parseCidr('10.77.0.0/16') }),
  'RequestPool of any pool': ({ ipam }) => ipam.requestPool(poolWish),
  'RequestPool of any IPv6 pool': ({ ipam }) => ipam.requestPool({ ...poolWish, ipv6: true }),
  'RequestAddress of the gateway': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, gateway: true }),
  'RequestAddress of more than there is': ({ ipam }) =>
    Promise.all(Array.from({ length: 250 }, () => ipam.requestAddress(anyAddress))),
  'RequestAddress of one in another’s block': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, address: '10.10.0.100' as Ip }),
  'RequestAddress of one in a block of nobody': ({ ipam }) =>
    ipam.requestAddress({ ...anyAddress, address: '10.10.0.250' as Ip }),
  'ReleaseAddress of a lent one': ({ ipam }) =>
    ipam.releaseAddress({ poolId: id, address: '10.10.0.101' as Ip }),
  ReleasePool: ({ ipam }) => ipam.releasePool(id),
  'binding the pool': ({ ipam }) => ipam.bindings.bindPool(subnet, 'network-1'),
  leaving: ({ ipam }) => ipam.left(),
}

/** How long the others are silent in each way, from just before the call on. */
const silences: Record<string, (desk: Desk, host: SimulatedHost) => Promise<void>> = {
  'are alive and do not answer': async (desk) => {
    desk.world.weather.loss = 1
  },
  'answer late': async (desk) => {
    Object.assign(desk.world.weather, { jitterMs: 4000 })
  },
  'are dead': async (desk) => desk.world.cut(['h1']),
  'do not answer, and the plugin has just started': async (desk, host) => {
    host.crash(false)
    desk.world.weather.loss = 1
    await desk.run(host.start())
  },
}

describe('nobody waits longer than the engine does, when the others', () => {
  for (const [how, fallSilent] of Object.entries(silences)) {
    for (const [what, call] of Object.entries(calls)) {
      it(`${how}: ${what}`, () =>
        Desk.with(3, async (desk, one, two, three) => {
          for (const host of [one, two, three]) await desk.create(host, { subnet })
          await desk.take(two, id, '10.10.0.100')
          await desk.gossip()
          await desk.take(one, id, '10.10.0.101')
          expect(one.ipam.bindings.leases(keyOf(id))).to.have.length(1)
          await fallSilent(desk, one)
          const began = desk.world.clock.now()
          await desk.run(call(one).catch(() => {}))
          expect(desk.world.clock.now() - began).to.be.lessThan(answerMostMs)
        }))
    }
  }
})
