import { below, pick } from '../../../src/base/random.ts'
import { serversOf } from '../../../src/consensus/core/configuration.ts'
import type { Server } from './server.ts'
import type { World } from './world.ts'

const votersMax = 5

/** Makes faults and configuration changes at random moments: on average one each `everyMs`. */
export class Nemesis {
  readonly #world: World
  readonly #everyMs: number
  /** How often each kind of fault happened. */
  readonly counts = new Map<string, number>()
  readonly #bounced = new Set<Server>()

  constructor(world: World, everyMs = 150) {
    this.#world = world
    this.#everyMs = everyMs
  }

  /** One moment of 5 ms. */
  strike(): void {
    const { random, servers } = this.#world
    for (const server of this.#bounced)
      if (server.raft === null) {
        this.#bounced.delete(server)
        if (servers.has(server.id)) server.start()
      }
    if (below(random, this.#everyMs / 5) > 0) return
    const name = pick(random, Object.keys(this.#faults))!
    if (this.#faults[name]!()) this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  readonly #faults: Record<string, () => boolean> = {
    crash: () => this.#crash(this.#any((server) => server.raft !== null)),
    crashLeader: () => this.#crash(this.#world.leader ?? undefined),
    bounce: () => this.#bounce(),
    bounceAgain: () => this.#bounce(),
    bounceMore: () => this.#bounce(),
    restart: () => this.#restart(),
    restartAgain: () => this.#restart(),
    cut: () => {
      const [from, to] = [this.#any(() => true), this.#any(() => true)]
      if (from === undefined || to === undefined) return false
      this.#world.network.cut(from.id, to.id)
      return true
    },
    partition: () => {
      for (const a of this.#world.servers.keys())
        for (const b of this.#world.servers.keys())
          if (below(this.#world.random, 3) === 0) this.#world.network.cut(a, b)
      return true
    },
    heal: () => {
      this.#world.network.heal()
      return true
    },
    weather: () => {
      const { random, network } = this.#world
      const delayMs = pick(random, [2, 20, 200])!
      network.weather = { lost: below(random, 200), doubled: below(random, 200), delayMs }
      return true
    },
    loseDisk: () => {
      const server = this.#any(({ id }) => this.#world.mayLose(id))
      if (server === undefined || below(this.#world.random, 2) === 0) return false
      this.#world.lose(server.id)
      return true
    },
    compact: () => {
      const server = this.#any(({ raft }) => raft !== null)
      server?.compact()
      return server !== undefined
    },
    transfer: () => {
      const { leader, random } = this.#world
      const to = pick(random, leader?.raft?.configuration.voters ?? [])
      return to !== undefined && leader!.step((raft) => raft.leader!.transfer(to)) === true
    },
    upgrade: () => {
      const server = this.#any(({ knows }) => knows === 1)
      if (server === undefined) return false
      if (server.raft !== null) server.crash()
      server.knows = 2
      server.start()
      return true
    },
    configure: () => this.#configure(),
    configureAgain: () => this.#configure(),
    configureMore: () => this.#configure(),
  }

  #any(has: (server: Server) => boolean): Server | undefined {
    return pick(this.#world.random, [...this.#world.servers.values()].filter(has))
  }

  #crash(server: Server | undefined): boolean {
    if (server?.raft == null) return false
    const points = ['before-write', 'after-write', 'half-sent', 'before-apply'] as const
    server.crashAt = pick(this.#world.random, points)!
    return true
  }

  /** A crash at the next write, and a start at once: what was not written is forgotten. */
  #bounce(): boolean {
    const server = this.#any(({ raft }) => raft !== null)
    if (!this.#crash(server)) return false
    this.#bounced.add(server!)
    return true
  }

  #restart(): boolean {
    const server = this.#any(({ raft }) => raft === null)
    server?.start()
    return server !== undefined
  }

  /** One change, as whoever leads wants it: away with those that are lost, spares in, voters out. */
  #configure(): boolean {
    const { lost, random, servers, nowMs } = this.#world
    const server = this.#any(({ raft }) => raft?.leader != null)
    const { raft } = server ?? {}
    if (server === undefined || raft?.leader == null) return false
    const { voters, learners } = raft.configuration
    const dead = serversOf(raft.configuration).find((id) => lost.has(id))
    const ready = learners.find(
      (id) => (raft.leader!.progressOf(id)?.match ?? 0) + 20 > raft.commit,
    )
    const spare = [...servers.keys()].find((id) => !serversOf(raft.configuration).includes(id))
    const without = (id: string | undefined): string[] => voters.filter((voter) => voter !== id)
    const victim = pick(random, without(raft.id))
    const next =
      dead !== undefined
        ? { voters: without(dead), learners: learners.filter((id) => id !== dead) }
        : ready !== undefined && voters.length < votersMax
          ? { voters: [...voters, ready], learners: learners.filter((id) => id !== ready) }
          : spare !== undefined && learners.length === 0 && voters.length < votersMax
            ? { voters, learners: [spare] }
            : voters.length > 1 && below(random, 2) === 0
              ? { voters: without(victim), learners }
              : null
    return next !== null && server.step((core) => core.configure(next, nowMs)) === true
  }
}
