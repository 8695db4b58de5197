import type { Timer } from '../base/clock.ts'
import { isBug, messageOf, OverlayError } from '../base/errors.ts'
import { below } from '../base/random.ts'
import { letGo } from './blocks/block-return.ts'
import type { Conflicts } from './addresses/conflicts.ts'
import { dropLostBlocks, reclaim } from './addresses/reclaim.ts'
import type { Supply } from './blocks/supply.ts'
import { type Context, publishPool } from './context.ts'
import { assemble, open, type Parts } from './parts.ts'
import type { IpamPorts } from './ports.ts'
import { auditVotes } from './voting/audit.ts'
import type { Fence } from './voting/fence.ts'
import type { Item } from './voting/items.ts'
import type { RollCall } from './voting/roll-call.ts'
import { type Holder, nameOfHolder } from './voting/roster.ts'

/** A step comes this often once we have a seat, ms. */
const stepMs = 1000
/** And this often before: the first address must not wait long. */
const seatlessStepMs = 150
/** Something changed around us: the next step comes this soon, ms, so that a burst of changes is one step. */
const soonMs = 20
/** What is not urgent is done every so many steps. */
const stepsBetweenTrims = 5
const stepsBetweenAudits = 10

/**
 * What this room does without being asked: getting a seat among the voters, giving back votes and idle blocks, asking after
 * votes that nobody seems to use. One step at a time; a step that fails is tried again at the next.
 */
export class Upkeep {
  readonly #parts: Parts
  #timer: Timer | null = null
  #running: Promise<void> | null = null
  #stopped = true
  #steps = 0

  constructor(ports: IpamPorts) {
    this.#parts = assemble(ports)
  }

  get context(): Context {
    return this.#parts.context
  }

  get supply(): Supply {
    return this.#parts.supply
  }

  get conflicts(): Conflicts {
    return this.#parts.conflicts
  }

  get fence(): Fence {
    return this.#parts.fence
  }

  get rollCall(): RollCall {
    return this.#parts.rollCall
  }

  async start(): Promise<void> {
    const { cluster, shelf, surroundings } = this.context
    await open(this.#parts)
    dropLostBlocks(this.context)
    for (const pool of shelf.all()) {
      if (pool.held) publishPool(this.context, pool)
      for (const [index, since] of pool.blocks()) {
        cluster.publishBlock({ poolKey: pool.key, index, since })
      }
    }
    this.#stopped = false
    cluster.onChange(() => {
      surroundings.changed()
      if (!this.context.seat.seated) this.#schedule(soonMs)
    })
    this.rollCall.start()
    void this.#step()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) this.context.clock.clearTimeout(this.#timer)
    this.#timer = null
    await this.#running
  }

  /**
   * Gives back all blocks that nothing uses and, when no container of this host has an address, our seat too. What
   * containers use stays ours: they may go on without us.
   */
  async leave(timeoutMs: number): Promise<{ returned: number; kept: number }> {
    const { clock, giveBack, logger, shelf, wire } = this.context
    const deadline = clock.now() + timeoutMs
    await this.stop()
    let returned = 0
    try {
      for (const pool of shelf.all()) {
        returned += (await letGo(this.context, pool, [...pool.blocks().keys()])).length
      }
      const bounded = async (work: Promise<void>): Promise<void> => {
        await Promise.race([work, wire.pause(Math.max(0, deadline - clock.now()))])
      }
      await bounded(giveBack.send())
      if (this.#kept() === 0) await bounded(this.#parts.enrolment.resign(deadline))
    } catch (error) {
      logger.warn('left without giving everything back', { error: messageOf(error) })
    }
    return { returned, kept: this.#kept() }
  }

  async forget(members: readonly string[], byHand: boolean): Promise<void> {
    await this.#parts.enrolment.forget(members, byHand)
  }

  /** Resolves when no step and no claim is running. */
  async settled(): Promise<void> {
    await this.#running
    await this.supply.settled()
    await this.context.giveBack.settled()
  }

  #kept(): number {
    return this.context.shelf
      .all()
      .reduce((sum, pool) => sum + pool.blocks().size + pool.leases.size, 0)
  }

  #schedule(ms: number): void {
    const { clock } = this.context
    if (this.#stopped || this.#running !== null) return
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => void this.#step(), ms)
  }

  #step(): Promise<void> {
    this.#running ??= this.#work()
      .catch((error: unknown) => {
        if (isBug(error)) throw error
        // The ledger has said already that the disk refuses.
        const said = error instanceof OverlayError && error.code === 'STORE'
        const level = said ? 'debug' : 'warn'
        this.context.logger[level]('a step of upkeep failed', { error: messageOf(error) })
      })
      .finally(() => {
        this.#running = null
        const { random, seat } = this.context
        const pause = seat.seated ? stepMs : seatlessStepMs
        this.#schedule(pause + below(random, pause >> 2))
      })
    return this.#running
  }

  async #work(): Promise<void> {
    const { giveBack, seat, store } = this.context
    this.#steps++
    await store.durable() // what the disk refused is tried again
    await this.#parts.enrolment.step()
    this.#parts.vacating.step()
    if (giveBack.pending > 0) void giveBack.send()
    if (seat.listed) await this.fence.step()
    if (!seat.seated) return
    await reclaim(this.context, this.supply, this.conflicts)
    await this.conflicts.step()
    if (this.#steps % stepsBetweenTrims === 0) await this.supply.trim()
    if (this.#steps % stepsBetweenAudits === 0) await this.#audit()
  }

  async #audit(): Promise<void> {
    const { claims, logger, seat, surroundings, wire } = this.context
    const { wanted } = this.#parts
    const inUse = (item: Item): boolean => wanted(item) || claims.pursues(item)
    const known = ({ kind, poolKey, number }: Item, holder: Holder): boolean => {
      const name = nameOfHolder(holder)
      if (kind === 'block') return surroundings.owners(poolKey).get(number)?.owner === name
      return kind === 'pool' && surroundings.holders(poolKey).some(({ member }) => member === name)
    }
    const freed = await auditVotes(seat, wire, inUse, known)
    if (freed > 0) logger.debug('votes freed that nobody wanted', { freed })
  }
}
