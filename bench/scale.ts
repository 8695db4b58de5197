/**
 * What agreement costs at 5, 100 and 1,000 members, in virtual time over a memory network:
 *
 *     node --conditions=source bench/scale.ts [members…]
 *
 * Prints one line for each figure and ends with 1 when a bar is missed. Bytes are those of Raft and
 * of requests between members, without the headers of gossip.
 */
import { encodeOperation } from '../test/simulation/raft/register-map.ts'
import { ConsensusWorld } from '../test/simulation/consensus/world.ts'
import type { Host } from '../test/simulation/consensus/host.ts'
import { median, print } from './figures.ts'

/** Claims that are measured, one after another. */
const claims = 20
/** A claim of two blocks has some 200 bytes. */
const claimBytes = 200
const bars = { claimRatio: 1.2, joinBytes: 100_000, newLeaderMs: 3000 }

interface Figures {
  readonly members: number
  readonly claim: { readonly messages: number; readonly bytes: number; readonly ms: number }
  readonly joinBytes: number
  readonly newLeaderMs: number
  readonly replacedMs: number
}

interface Traffic {
  readonly messages: number
  readonly bytes: number
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

/** One command; how long it took in virtual time, ms. */
async function claim(world: ConsensusWorld, host: Host, timeoutMs = 8000): Promise<number> {
  const operation = { kind: 'write', key: 'k'.repeat(claimBytes - 40), value: 1 } as const
  const startedMs = world.clock.now()
  let isDone = false
  const call = host.consensus!.submit(encodeOperation(operation), { timeoutMs })
  call.then(() => (isDone = true)).catch(() => {})
  await world.until('a command is applied', () => isDone, timeoutMs)
  return world.clock.now() - startedMs
}

async function measure(members: number): Promise<Figures> {
  const world = new ConsensusWorld(1, { isShared: true })
  const hosts = world.add(...Array.from({ length: members }, (_, i) => `h${i}`))
  for (const host of hosts.slice(1)) host.seeds = () => [{ isSelf: false, member: 'h0' }]
  for (const host of hosts) host.start()
  const isWhole = (): boolean =>
    world.voters().length === 5 &&
    world.running.every(({ consensus }) => consensus!.status().clusterId !== '')
  await world.until('five vote and all belong to the cluster', isWhole, 300_000)
  await world.clock.advance(30_000)

  const client = hosts.find(({ consensus }) => consensus!.status().role === 'client') ?? hosts[1]!
  await claim(world, client)
  const times: number[] = []
  const traffic = await beyondIdle(world, async () => {
    for (let i = 0; i < claims; i++) times.push(await claim(world, client))
  })

  const [newcomer] = world.add('newcomer')
  newcomer!.seeds = () => [{ isSelf: false, member: 'h0' }]
  const join = await beyondIdle(world, async () => {
    newcomer!.start()
    const isIn = (): boolean => newcomer!.consensus!.status().clusterId !== ''
    await world.until('the newcomer belongs to the cluster', isIn)
    await claim(world, newcomer!)
  })

  const leader = world.leader!
  const killedMs = world.clock.now()
  leader.crash()
  await claim(world, client === leader ? newcomer! : client)
  const newLeaderMs = world.clock.now() - killedMs
  const isReplaced = (): boolean =>
    world.voters().length === 5 && !world.voters().includes(leader.name)
  await world.until('the dead voter is replaced', isReplaced, 120_000)
  return {
    members,
    claim: {
      messages: traffic.messages / claims,
      bytes: traffic.bytes / claims,
      ms: median(times),
    },
    joinBytes: join.bytes,
    newLeaderMs,
    replacedMs: world.clock.now() - killedMs,
  }
}

const wanted = process.argv.slice(2).map(Number)
const all: Figures[] = []
for (const members of wanted.length > 0 ? wanted : [5, 100, 1000]) {
  const figures = await measure(members)
  all.push(figures)
  const { claim: one, joinBytes, newLeaderMs, replacedMs } = figures
  print(
    `${members} members: a claim ${one.messages.toFixed(1)} messages, ${one.bytes.toFixed(0)} B, ${one.ms.toFixed(0)} ms`,
  )
  print(`${members} members: a join ${(joinBytes / 1000).toFixed(1)} kB`)
  print(`${members} members: a new leader serves after ${newLeaderMs.toFixed(0)} ms`)
  print(`${members} members: a dead voter is replaced after ${(replacedMs / 1000).toFixed(1)} s`)
}
const smallest = all[0]!
const missed = all.flatMap((figures) => [
  ...(figures.claim.bytes > bars.claimRatio * smallest.claim.bytes ? ['bytes of a claim'] : []),
  ...(figures.joinBytes > bars.joinBytes ? ['bytes of a join'] : []),
  ...(figures.newLeaderMs > bars.newLeaderMs ? ['time until a new leader'] : []),
])
for (const bar of missed) print(`missed: ${bar}`)
process.exitCode = missed.length === 0 ? 0 : 1
