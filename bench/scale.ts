/**
 * What agreement costs at 5, 100 and 1,000 members, in virtual time over a memory network:
 *
 *     node --conditions=source bench/scale.ts [members…]
 *
 * The agreed state is the plugin's own, and has 100 networks with a block for each member before
 * anything is measured. Prints one line for each figure and ends with 1 when a bar is missed. Bytes
 * are those of Raft and of requests between members, without the headers of gossip.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { AgreedClient } from '../src/consensus/state/agreed-client.ts'
import { AgreedState } from '../src/consensus/state/agreed-state.ts'
import { AgreedMachine } from '../test/support/agreed-machine.ts'
import { ConsensusWorld } from '../test/simulation/consensus/world.ts'
import type { Host } from '../test/simulation/consensus/host.ts'
import { figure, median, print } from './figures.ts'

const networks = 100
/** Claims that are measured, one after another. */
const claims = 20
/** What a newcomer claims of its first network. */
const firstShare = 5
const bars = { claimRatio: 1.2, joinBytes: 100_000, newLeaderMs: 3000, stateBytes: 5_000_000 }

interface Figures {
  readonly members: number
  readonly claim: { readonly messages: number; readonly bytes: number; readonly ms: number }
  readonly joinBytes: number
  readonly newLeaderMs: number
  readonly replacedMs: number
  readonly leader: { readonly claimMs: number; readonly idle: number; readonly heapBytes: number }
  readonly stateBytes: number
}

interface Traffic {
  readonly messages: number
  readonly bytes: number
}

const poolOf = (network: number): string => `fd00:${network.toString(16)}::/64`
const wish = { first: 0, last: 0xff_ffff }

/** As a snapshot: 100 networks that all of these members take part in. */
function fullState(members: readonly string[]): Uint8Array {
  const machine = new AgreedMachine(...members)
  for (let network = 0; network < networks; network++) {
    const pool = poolOf(network)
    for (const member of members) {
      machine.run(member, 'holdPool', { pool })
      machine.run(member, 'claim', { pool, total: 1, ...wish })
      machine.run(member, 'attachOverlay', { overlayId: pool, vni: null, start: 0, avoid: [] })
    }
    machine.run(members[0]!, 'gateway', { pool, wanted: null })
  }
  return machine.state.snapshot()
}

function stateFrom(snapshot: Uint8Array): AgreedState {
  const state = new AgreedState()
  state.restore(snapshot)
  return state
}

/** Processor time by member: whoever has the turn is charged until the next one has it. */
class Meter {
  readonly #ms = new Map<string, number>()
  #member = ''
  #since = cpuMs()

  turnOf(member: string): void {
    const now = cpuMs()
    this.#ms.set(this.#member, this.msOf(this.#member) + now - this.#since)
    this.#member = member
    this.#since = now
  }

  msOf(member: string): number {
    return this.#ms.get(member) ?? 0
  }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Bytes that are left of what `make` makes, once the garbage is collected. */
function heapOf(make: () => unknown): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = (): number => {
    for (let times = 0; times < 3; times++) collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  // The first time also makes what stays: compiled code, caches.
  make()
  const before = used()
  const made = make()
  const bytes = used() - before
  return made === undefined ? 0 : bytes
}

/** What was sent beyond what an idle cluster sends in the same time. */
async function beyondIdle(world: ConsensusWorld, work: () => Promise<void>): Promise<Traffic> {
  const idleMs = 20_000
  const start = { messages: world.messages, bytes: world.bytes }
  await world.clock.advance(idleMs)
  const perMs = {
    messages: (world.messages - start.messages) / idleMs,
    bytes: (world.bytes - start.bytes) / idleMs,
  }
  const before = { messages: world.messages, bytes: world.bytes, ms: world.clock.now() }
  await work()
  const ms = world.clock.now() - before.ms
  return {
    messages: world.messages - before.messages - perMs.messages * ms,
    bytes: world.bytes - before.bytes - perMs.bytes * ms,
  }
}

/** A member's calls to the agreed state, in a world whose time goes on meanwhile. */
class Member {
  readonly #world: ConsensusWorld
  readonly #agreed: AgreedClient

  constructor(world: ConsensusWorld, host: Host) {
    this.#world = world
    this.#agreed = new AgreedClient(host.consensus!, new AgreedMachine().idOf(host.name))
  }

  /** Until it has so many blocks of that network; how long it took in virtual time, ms. */
  claim(total: number, network = 0, timeoutMs = 8000): Promise<number> {
    return this.#do(this.#agreed.claim(poolOf(network), { total, ...wish })(timeoutMs))
  }

  /** What a new member does: it registers, asks what it has, and takes part in one network. */
  async register(): Promise<void> {
    const pool = poolOf(0)
    await this.#do(this.#agreed.renew()(8000))
    await this.#do(this.#agreed.holdings()(8000))
    await this.#do(this.#agreed.holdPool(pool)(8000))
    await this.claim(firstShare)
  }

  async #do(call: Promise<unknown>): Promise<number> {
    const startedMs = this.#world.clock.now()
    let failure: unknown = null
    let isDone = false
    call.catch((error: unknown) => (failure = error)).finally(() => (isDone = true))
    await this.#world.until('a command is applied', () => isDone, 60_000)
    if (failure !== null) throw failure
    return this.#world.clock.now() - startedMs
  }
}

async function measure(members: number): Promise<Figures> {
  const world = new ConsensusWorld(1, { isShared: true })
  const meter = new Meter()
  world.turnOf = (member) => meter.turnOf(member)
  const names = Array.from({ length: members }, (_, i) => `h${i}`)
  const base = fullState(names)
  const hosts = world.add(...names)
  for (const host of hosts.slice(1)) host.founds = false
  // Who founds the cluster begins with it; the other servers get it from there.
  for (const host of hosts) host.newState = () => new AgreedState()
  hosts[0]!.newState = () => stateFrom(base)
  for (const host of hosts) host.start()
  const isWhole = (): boolean =>
    world.voters().length === 5 &&
    world.running.every(({ consensus }) => consensus!.status().clusterId !== '')
  await world.until('five vote and all belong to the cluster', isWhole, 300_000)
  await world.clock.advance(30_000)

  const client = hosts.find(({ consensus }) => consensus!.status().role === 'client') ?? hosts[1]!
  const member = new Member(world, client)
  await member.claim(2)
  const times: number[] = []
  const leaderName = world.leader!.name
  const before = { cpuMs: meter.msOf(leaderName), atMs: world.clock.now() }
  let idle = 0
  let claimMs = 0
  const traffic = await beyondIdle(world, async () => {
    idle = (meter.msOf(leaderName) - before.cpuMs) / (world.clock.now() - before.atMs)
    const [cpu, atMs] = [meter.msOf(leaderName), world.clock.now()]
    for (let i = 0; i < claims; i++) times.push(await member.claim(3 + i))
    const spent = meter.msOf(leaderName) - cpu - idle * (world.clock.now() - atMs)
    claimMs = spent / claims
  })

  const [newcomer] = world.add('newcomer')
  newcomer!.founds = false
  newcomer!.newState = () => new AgreedState()
  const join = await beyondIdle(world, async () => {
    newcomer!.start()
    const isIn = (): boolean => newcomer!.consensus!.status().clusterId !== ''
    await world.until('the newcomer belongs to the cluster', isIn)
    await new Member(world, newcomer!).register()
  })

  const leader = world.leader!
  const killedMs = world.clock.now()
  leader.crash()
  const other = client === leader ? new Member(world, newcomer!) : member
  await other.claim(claims + 3)
  const newLeaderMs = world.clock.now() - killedMs
  const isReplaced = (): boolean =>
    world.voters().length === 5 && !world.voters().includes(leader.name)
  await world.until('the dead voter is replaced', isReplaced, 120_000)
  const [bytes, ms] = [traffic.bytes / claims, median(times)]
  return {
    members,
    claim: { messages: traffic.messages / claims, bytes, ms },
    joinBytes: join.bytes,
    newLeaderMs,
    replacedMs: world.clock.now() - killedMs,
    leader: {
      claimMs,
      idle,
      heapBytes: heapOf(() => {
        const state = stateFrom(base)
        return [state, state.snapshot()]
      }),
    },
    stateBytes: base.length,
  }
}

function show(figures: Figures): void {
  const { members, claim, joinBytes, newLeaderMs, replacedMs, leader, stateBytes } = figures
  const say = (what: string, value: number, unit: string, digits = 1): void => {
    print(`${members} members: ${what} ${value.toFixed(digits)} ${unit}`.trimEnd())
    figure(`scale: ${members} members, ${what}`, value)
  }
  say('messages of a claim', claim.messages, '')
  say('bytes of a claim', claim.bytes, 'B', 0)
  say('time of a claim', claim.ms, 'ms', 0)
  say('bytes of a join', joinBytes / 1000, 'kB')
  say("the leader's CPU for a claim", leader.claimMs, 'ms', 2)
  say("the leader's CPU while idle", leader.idle * 100, '%', 2)
  say("the leader's memory for the state", leader.heapBytes / 1e6, 'MB')
  say('state as a snapshot', stateBytes / 1e6, 'MB', 2)
  say('until a new leader serves', newLeaderMs, 'ms', 0)
  say('until a dead voter is replaced', replacedMs / 1000, 's')
}

const wanted = process.argv.slice(2).map(Number)
const all: Figures[] = []
for (const members of wanted.length > 0 ? wanted : [5, 100, 1000]) {
  const figures = await measure(members)
  all.push(figures)
  show(figures)
}
const smallest = all[0]!
const missed = all.flatMap((figures) => {
  const { members, claim, joinBytes, newLeaderMs, stateBytes } = figures
  const misses = {
    'messages of a claim': claim.messages > bars.claimRatio * smallest.claim.messages,
    'bytes of a claim': claim.bytes > bars.claimRatio * smallest.claim.bytes,
    'time of a claim': claim.ms > bars.claimRatio * smallest.claim.ms,
    'bytes of a join': joinBytes > bars.joinBytes,
    'time until a new leader': newLeaderMs > bars.newLeaderMs,
    'size of the state': stateBytes > bars.stateBytes,
  }
  const names = Object.entries(misses).filter(([, isMissed]) => isMissed)
  return names.map(([what]) => `${members} members: ${what}`)
})
for (const bar of missed) print(`missed: ${bar}`)
process.exitCode = missed.length === 0 ? 0 : 1
