/**
 * What the members of a cluster agree on, by Raft (Ongaro, "Consensus: Bridging Theory and
 * Practice", 2014, cited as "thesis"). A few members run a server each, of these at most seven
 * vote; all others are clients.
 *
 * Invariant: every command that a client got the result of was applied once, on every server alike,
 * in an order that agrees with real time; and it stays applied while fewer than half of the voters
 * lose their disks.
 *
 * This room may not look into commands, decide by a clock what servers must decide alike, or send
 * anything that follows from a state that is not on the disk.
 */
import { sleep } from '../base/clock.ts'
import { attempt, refusal } from '../base/errors.ts'
import { Every } from '../base/timers.ts'
import { Client } from './client.ts'
import { Membership } from './membership/membership.ts'
import type {
  ConsensusClient,
  ConsensusPorts,
  ConsensusSettings,
  ConsensusStatus,
  StateMachine,
  SubmitOptions,
} from './ports.ts'
import { ReplicatedState, encodeDissolution } from './server/replicated-state.ts'
import { type ClusterView, decodeRequest, encodeAnswer, memberOf } from './requests.ts'
import { Service } from './service.ts'
import { ServerHost } from './server/server-host.ts'
import type { RaftServer } from './server/server.ts'
import { Voters } from './voters/voters.ts'

/** How often the leader looks after its voters, and a member without a cluster for one, ms. */
const lookMs = 1000
/** How often a member of a cluster asks another one what it knows, ms. */
const askMs = 10_000
/** A server that no leader speaks to asks whether it was removed, after this time, ms. */
const forgottenMs = 30_000
/** A voter from which nothing is heard for this long is named as silent, ms. */
const silentMs = 2000
const leaveMs = 2000
const enrollMs = 2000
/** A cluster in which nobody leads for this long may be another one now, ms. */
const servedMs = 5000
const mergeMs = 1000

const noView: ClusterView = { clusterId: '', term: 0, leader: '', voters: [], silent: [] }

export class Consensus implements ConsensusClient {
  readonly #ports: ConsensusPorts
  readonly #host: ServerHost
  readonly #state: ReplicatedState
  readonly #client: Client
  readonly #voters: Voters
  readonly #service: Service
  readonly #membership: Membership
  readonly #looks: Every
  /** What the voters told a member that runs no server. */
  #learned = noView
  #leaderSeenMs: number
  #wasLeader = false
  #isMerging = false
  #askedMs = -Infinity
  readonly #leadership = new Set<(isLeader: boolean) => void>()
  readonly #clusterChange = new Set<(clusterId: string) => void>()

  constructor(ports: ConsensusPorts, machine: StateMachine, settings: ConsensusSettings) {
    const { self, clock, random, logger, members, transport } = ports
    const common = { self, clock, random, logger, members }
    this.#ports = ports
    this.#leaderSeenMs = clock.now()
    this.#state = new ReplicatedState(machine)
    this.#host = new ServerHost({
      ports,
      state: this.#state,
      onChange: () => this.#changed(),
      onMoved: (clusterId) => this.#moved(clusterId),
      onGone: (server) => this.#voters.isGone(server),
    })
    const view = (): ClusterView => this.#view()
    this.#client = new Client({
      ...common,
      transport,
      view,
      answerSelf: (request) => this.#service.answer(self, request),
      learn: (from, other) => this.#learn(from, other),
      ownFailure: () => this.#host.server?.diskFailure ?? null,
    })
    const enroll = (member: string) => this.#client.enroll(member, this.#host.clusterId, enrollMs)
    this.#voters = new Voters({ ...common, wanted: settings.voters, enroll })
    this.#service = new Service({ host: this.#host, machine, voters: this.#voters, view })
    this.#membership = new Membership({
      ...common,
      ...settings,
      view,
      viewOf: (member) => this.#client.viewOf(member),
      learn: (from, other) => this.#learn(from, other),
      isServed: () => this.#isServed(),
      isLeader: () => this.isLeader(),
      found: () => this.#host.found(),
      moveTo: (clusterId) => this.#host.moveTo(clusterId),
      dissolve: async (into) => void (await this.#host.server?.propose(encodeDissolution(into))),
    })
    const warn = (failure: string): void => logger.warn(failure)
    this.#looks = new Every({ clock, intervalMs: lookMs, run: () => this.#look(), warn })
  }

  /** Goes on with what the disk has, or looks for a cluster in the background. Waits for nobody. */
  start(): void {
    this.#ports.transport.listen({
      onMessage: (from, message) => this.#host.receive(from, message),
      onRequest: async (from, bytes) =>
        encodeAnswer(await this.#service.answer(from, decodeRequest(bytes))),
    })
    this.#host.start()
    this.#looks.start(0)
  }

  /**
   * Stops; a leader hands over first. One that leaves has its server removed from the voters
   * before; its disk keeps the log, which `recover` can go on from when the others are lost.
   */
  async stop({ leaves = false } = {}): Promise<void> {
    this.#looks.stop()
    await this.#host.handOver()
    const { server } = this.#host
    if (leaves && server !== null && server.raft.configuration.voters.length > 1)
      await attempt(
        () => this.#client.leave(server.raft.id, { timeoutMs: leaveMs }),
        (reason) => this.#ports.logger.warn(`left without its vote being removed: ${reason}`),
      )
    this.#host.stop()
  }

  submit(command: Uint8Array, options: SubmitOptions): Promise<Uint8Array> {
    return this.#client.submit(command, options)
  }

  query(question: Uint8Array, options: SubmitOptions): Promise<Uint8Array> {
    return this.#client.query(question, options)
  }

  isLeader(): boolean {
    return this.#host.server?.isLeader === true
  }

  onLeadership(listener: (isLeader: boolean) => void): () => void {
    this.#leadership.add(listener)
    return () => this.#leadership.delete(listener)
  }

  onClusterChange(listener: (clusterId: string) => void): () => void {
    this.#clusterChange.add(listener)
    return () => this.#clusterChange.delete(listener)
  }

  /**
   * For when a majority of the voters is gone for good: makes a new cluster out of what this
   * member's server has, with itself as the only voter. The other members find out, join it, and
   * vote again. What only the lost voters knew is lost. Rejects with MEMBER_ALIVE when the voters
   * have a leader (unless forced), with QUORUM when this member has no server.
   */
  async recover({ force = false } = {}): Promise<string> {
    const leader = this.#host.server?.raft.leaderId ?? null
    if (leader !== null && !force)
      throw refusal('MEMBER_ALIVE', `a majority still answers; ${memberOf(leader)} leads it`)
    return this.#host.recover()
  }

  /** The server that this member runs; null for one that is a client alone. */
  get server(): RaftServer | null {
    return this.#host.server
  }

  /** What the server of this member has applied. */
  get state(): ReplicatedState {
    return this.#state
  }

  status(): ConsensusStatus {
    const { clusterId, term, leader, voters, silent } = this.#view()
    const { server } = this.#host
    const log = server?.raft.log
    return {
      clusterId,
      role: server?.role ?? 'client',
      term,
      leader: memberOf(leader) || null,
      voters: voters.map(memberOf),
      learners: (server?.raft.configuration.learners ?? []).map(memberOf),
      commitIndex: server?.raft.commit ?? 0,
      appliedIndex: server?.applied ?? 0,
      logEntries: log?.length ?? 0,
      logBytes: log?.bytes ?? 0,
      snapshotBytes: log?.snapshot.data.length ?? 0,
      version: log?.inForce().version ?? 0,
      missing: silent.map(memberOf),
    }
  }

  /** What this member knows of its cluster: by its server when it has one that knows the voters. */
  #view(): ClusterView {
    const { server, clusterId } = this.#host
    const learned = { ...this.#learned, clusterId }
    if (server === null || !server.raft.configuration.voters.includes(server.raft.id))
      return learned
    const { term, leaderId, configuration } = server.raft
    const { voters } = configuration
    const silent = server.silent(silentMs).filter((id) => voters.includes(id))
    // A follower hears its leader only.
    const isJudge = server.isLeader || leaderId === null
    return { clusterId, term, leader: leaderId ?? '', voters, silent: isJudge ? silent : [] }
  }

  /**
   * Takes over what a voter says, or anybody while no voter answers: so one member alone misleads
   * nobody.
   */
  #learn(from: string, view: ClusterView): void {
    this.#membership.heard(view)
    if (view.clusterId !== this.#host.clusterId || view.voters.length === 0) return
    const { voters, term } = this.#view()
    const isTrusted = voters.some((id) => memberOf(id) === from)
    const isLost = voters.length === 0 || this.#client.isLost
    if (isLost || (isTrusted && view.term >= term)) this.#learned = view
  }

  async #look(): Promise<void> {
    const { server, clusterId } = this.#host
    const now = this.#ports.clock.now()
    if (server !== null) {
      await this.#voters.look(server)
      if (server.raft.leaderId !== null) this.#leaderSeenMs = now
      else if (now - this.#leaderSeenMs > forgottenMs) await this.#checkRemoved(server)
    }
    const isDue = clusterId === '' || now - this.#askedMs >= askMs
    if (!isDue) return
    this.#askedMs = now
    await this.#membership.look()
  }

  /** A server that nobody speaks to may have been removed; the leader knows. Then it is dropped. */
  async #checkRemoved({ raft }: RaftServer): Promise<void> {
    this.#leaderSeenMs = this.#ports.clock.now() - forgottenMs / 2
    const isMember = await this.#client.isServer(raft.id, { timeoutMs: enrollMs }).catch(() => true)
    if (!isMember) await this.#host.moveTo(this.#host.clusterId)
  }

  #isServed(): Promise<boolean> {
    const asked = this.#client.isServer('', { timeoutMs: servedMs })
    return asked.then(() => true).catch(() => false)
  }

  #changed(): void {
    const isLeader = this.isLeader()
    if (isLeader !== this.#wasLeader) {
      this.#wasLeader = isLeader
      for (const listener of this.#leadership) listener(isLeader)
    }
    const into = this.#state.dissolvedInto
    if (into !== null && into !== this.#host.clusterId) void this.#merge(into)
  }

  /** A leader stays until the others have heard that the merger is committed. */
  async #merge(into: string): Promise<void> {
    if (this.#isMerging) return
    this.#isMerging = true
    await attempt(
      async () => {
        if (this.isLeader()) await sleep(this.#ports.clock, mergeMs)
        await this.#host.moveTo(into)
      },
      (reason) => this.#ports.logger.warn(`cluster ${into} is not joined yet: ${reason}`),
    )
    this.#isMerging = false
  }

  #moved(clusterId: string): void {
    const isNew = clusterId !== this.#learned.clusterId
    this.#learned = { ...noView, clusterId }
    this.#changed()
    if (isNew) for (const listener of this.#clusterChange) listener(clusterId)
  }
}
