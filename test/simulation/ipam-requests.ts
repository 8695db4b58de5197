import { OverlayError } from '../../src/base/errors.ts'
import { below, pick } from '../../src/base/random.ts'
import { type Cidr, parseCidr } from '../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../src/net/ip.ts'
import type { Life, SimulatedHost } from './ipam-host.ts'
import type { Observer } from './ipam-observer.ts'
import type { IpamWorld } from './ipam-world.ts'

/** The pools that every host has a network on. */
export const pools: readonly Cidr[] = ['10.0.0.0/27', '10.0.1.0/24', 'fd00:1::/64'].map((text) =>
  parseCidr(text)!,
)

/**
 * The engines' side: asks hosts for addresses, without waiting for the answers, and tells the observer what they are. What an
 * answer violates is kept.
 */
export class Requests {
  readonly world: IpamWorld
  readonly observer: Observer
  /** Those under way. */
  readonly open = new Set<Promise<void>>()
  #violation: Error | null = null

  constructor(world: IpamWorld, observer: Observer) {
    this.world = world
    this.observer = observer
  }

  /** Throws the first violation, if there was one. */
  check(): void {
    if (this.#violation !== null) throw this.#violation
  }

  async attach(host: SimulatedHost, wanted: readonly Cidr[] = pools): Promise<void> {
    for (const cidr of wanted) {
      const { life } = host
      if (life === null) return
      const { ipam } = life
      const attached = (async () => {
        const wish = { space: 'ts-overlay', pool: cidr, subPool: null, options: {}, ipv6: false }
        const { poolId } = await ipam.requestPool(wish)
        await ipam.requestAddress({ poolId, address: null, gateway: true })
        await ipam.bindings.bindPool(cidr, `network-${host.name}-${cidr}`)
      })()
      attached.catch((error: unknown) =>
        this.observer.note(`${host.name} attach: ${String(error)}`),
      )
      await this.world.run(Promise.race([attached, this.timeOut(life)])).catch(() => {})
    }
  }

  /** `docker network rm`: the engine does not mind a refusal, and forgets the network. */
  async remove(host: SimulatedHost, cidr: Cidr): Promise<void> {
    const { life } = host
    if (life === null) return
    this.observer.removes(host.name, cidr)
    await this.world
      .run(life.ipam.bindings.unbindPool(cidr, `network-${host.name}-${cidr}`))
      .catch(passRefusal)
    await this.world.run(life.ipam.releasePool(poolId(cidr))).catch(passRefusal)
    // What was answered while the pool was being released is released with it.
    this.observer.removes(host.name, cidr)
  }

  async take(host: SimulatedHost, cidr: Cidr): Promise<void> {
    const count = 1 + below(this.world.random, 4)
    for (let i = 0; i < count; i++) this.#ask(host, cidr, null)
    await this.world.clock.settled()
  }

  async takeThis(host: SimulatedHost): Promise<void> {
    const cidr = pick(this.world.random, pools)!
    const offset = BigInt(2 + below(this.world.random, 28))
    const base = cidr.slice(0, cidr.indexOf('/'))
    const text = base.includes(':')
      ? `${base}${offset.toString(16)}`
      : base.replace(/0$/, `${offset}`)
    this.#ask(host, cidr, parseIp(text))
    await this.world.clock.settled()
  }

  #ask(host: SimulatedHost, cidr: Cidr, address: Ip | null): void {
    const { life } = host
    if (life === null) return
    const began = this.world.clock.now()
    const asked = life.ipam.requestAddress({ poolId: poolId(cidr), address, gateway: false }).then(
      (got) => {
        if (life.alive) this.observer.takes(host.name, cidr, got)
      },
      (error: unknown) => {
        if (!(error instanceof OverlayError)) throw error
        this.observer.refuses(error.code)
      },
    )
    const bounded = asked.then(() => {
      const took = this.world.clock.now() - began
      if (life.alive && took > 8000) throw new Error(`${host.name} took ${took} ms to answer`)
    })
    const tracked: Promise<void> = Promise.race([bounded, this.timeOut(life)])
      .catch((error: unknown) => {
        this.#violation ??= error as Error
      })
      .finally(() => this.open.delete(tracked))
    this.open.add(tracked)
  }

  free(host: SimulatedHost): void {
    const held = pick(this.world.random, this.observer.heldBy(host.name))
    if (held === undefined) return
    const [cidr, ip] = held
    this.observer.frees(host.name, cidr, ip)
    this.#release(host.ipam.releaseAddress({ poolId: poolId(cidr as Cidr), address: ip as Ip }))
  }

  /** Releases what the host has leases for and no container of, as the plugin does after a while. */
  freeUnused(host: SimulatedHost): void {
    const held = new Set(this.observer.heldBy(host.name).map(([cidr, ip]) => `${cidr} ${ip}`))
    for (const { poolKey, ip } of host.ipam.bindings.leases()) {
      if (!held.has(`${poolKey} ${ip}`)) this.#release(host.ipam.bindings.freeLease(poolKey, ip))
    }
  }

  /** The engine asks once; what the disk refuses is our own affair from then on. */
  #release(asked: Promise<void>): void {
    asked.catch((error: unknown) => {
      if (error instanceof OverlayError) this.observer.refuses(error.code)
      else this.#violation ??= error as Error
    })
  }

  /** Nobody waits for an answer longer than this; of a host that crashed there is none to wait for. */
  timeOut(life: Life): Promise<void> {
    return new Promise((resolve, reject) => {
      this.world.clock.setTimeout(() => {
        if (life.alive) reject(new Error('gave no answer in 30 s'))
        else resolve()
      }, 30_000)
    })
  }
}

function passRefusal(error: unknown): void {
  if (!(error instanceof OverlayError)) throw error
}

export function poolId(cidr: Cidr): string {
  return `ts-overlay/${cidr}`
}
