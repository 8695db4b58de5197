import { expect } from 'chai'
import { type ErrorCode, OverlayError } from '../../../src/base/errors.ts'
import { type Cidr, parseCidr } from '../../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import type { SimulatedHost } from '../../simulation/ipam-host.ts'
import { IpamWorld } from '../../simulation/ipam-world.ts'

/** What `docker network create` may say. */
export interface Create {
  readonly subnet?: string
  readonly range?: string
  readonly gateway?: string
  readonly aux?: readonly string[]
  readonly options?: Record<string, string>
  readonly ipv6?: boolean
  readonly space?: string
  /** Leaves out CreateNetwork. */
  readonly unbound?: boolean
}

/** The engine's side of the counter: asks a host's address management as `docker` would make it. */
export class Desk {
  readonly world: IpamWorld
  #networks = 0

  constructor(seed = 1) {
    this.world = new IpamWorld(seed)
  }

  /** Runs `test` with so many hosts in one cluster. */
  static async with(
    count: number,
    test: (desk: Desk, ...hosts: SimulatedHost[]) => Promise<void>,
  ): Promise<void> {
    const desk = new Desk()
    try {
      await test(desk, ...(await desk.world.grow(count)))
    } finally {
      desk.world.end()
    }
  }

  /** RequestPool, gateway, aux addresses, CreateNetwork; the pool's id and the gateway. */
  async create(host: SimulatedHost, create: Create = {}): Promise<{ id: string; gateway: string }> {
    const { ipam } = host
    const { poolId } = await this.run(
      ipam.requestPool({
        space: create.space ?? 'ts-overlay',
        pool: cidrOrNull(create.subnet),
        subPool: cidrOrNull(create.range),
        options: create.options ?? {},
        ipv6: create.ipv6 ?? false,
      }),
    )
    const address = create.gateway === undefined ? null : parseIp(create.gateway)
    const gateway = await this.run(ipam.requestAddress({ poolId, address, gateway: true }))
    for (const aux of create.aux ?? []) await this.take(host, poolId, aux)
    if (create.unbound !== true) {
      const key = keyOf(poolId)
      await this.run(ipam.bindings.bindPool(key, `network-${++this.#networks}`))
    }
    return { id: poolId, gateway }
  }

  take(
    host: SimulatedHost,
    poolId: string,
    ip?: string,
    name: string | null = null,
  ): Promise<string> {
    const address = ip === undefined ? null : parseIp(ip)
    return this.run(host.ipam.requestAddress({ poolId, address, gateway: false, name }))
  }

  /** `count` addresses at once. */
  async takeMany(host: SimulatedHost, poolId: string, count: number): Promise<string[]> {
    const wish = { poolId, address: null, gateway: false }
    return this.run(
      Promise.all(Array.from({ length: count }, () => host.ipam.requestAddress(wish))),
    )
  }

  free(host: SimulatedHost, poolId: string, address: string): Promise<void> {
    const ip = address.split('/')[0] as Ip
    return this.run(host.ipam.releaseAddress({ poolId, address: ip }))
  }

  remove(host: SimulatedHost, poolId: string): Promise<void> {
    return this.run(host.ipam.releasePool(poolId))
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.run(work)
  }

  /** Lets members hear of each other's records. */
  gossip(): Promise<void> {
    return this.world.clock.advance(300)
  }

  pass(ms: number): Promise<void> {
    return this.world.clock.advance(ms)
  }
}

/** The pool's key in a pool id of the local space. */
export function keyOf(poolId: string): string {
  const [space, base, length, overlay] = poolId.split('/')
  const prefix = space === 'ts-overlay' ? '' : space === 'ts-overlay-global' ? 'global:' : 'swarm:'
  return `${prefix}${base}/${length}${overlay === undefined ? '' : ` ${overlay}`}`
}

/** Expects a refusal or failure with this code, and every one of these words in its message. */
export async function refused(
  work: Promise<unknown>,
  code: ErrorCode,
  ...words: string[]
): Promise<void> {
  const error = await work.then(
    (value) => new Error(`it was granted: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  expect(error).to.be.instanceOf(OverlayError)
  expect((error as OverlayError).code).to.equal(code)
  for (const word of words) expect((error as OverlayError).message).to.contain(word)
}

function cidrOrNull(text: string | undefined): Cidr | null {
  return text === undefined ? null : parseCidr(text)
}
