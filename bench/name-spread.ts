/**
 * How long until all members know a new container's names, in virtual time over a memory network
 * with delays and 5 % loss: the endpoint's record and that of its names, as a plugin publishes them.
 *
 *     node --conditions=source bench/name-spread.ts [members…]    CONTAINERS=50
 *
 * A thousand members take some gigabytes and, to find each other, minutes.
 */
import { below, pick } from '../src/base/random.ts'
import { namesRecord } from '../src/wiring/records.ts'
import { World } from '../test/simulation/support/world.ts'
import { median, print, spread, table } from './figures.ts'

const containers = Number(process.env['CONTAINERS'] ?? 50)
const names = ['web', 'www', '4f2a9c01b7de', 'web-host']

const counts = process.argv.slice(2).map(Number)
const rows: string[][] = []
for (const hosts of counts.length === 0 ? [25, 150] : counts) {
  const times = await timesOf(hosts)
  const last = times.toSorted((a, b) => a - b).at(-1)!
  rows.push([`${hosts}`, spread(times, 'ms')])
  print(`${hosts} members: median ${median(times).toFixed(0)} ms, most ${last.toFixed(0)} ms`)
}
print(table(['members', `until all others know the names, ${containers} containers`], rows))

async function timesOf(hosts: number): Promise<number[]> {
  const world = new World({ seed: 1, hosts })
  await world.startAll()
  world.memory.conditions = { ...world.memory.conditions, loss: 0.05 }
  const times: number[] = []
  let endpoint = ''
  const waiting = new Set<object>()
  for (const host of world.up)
    host.cluster!.onTransitions((batch) => {
      const isIt = batch.some(({ next }) => namesRecord.is(next) && next.endpointId === endpoint)
      if (isIt) waiting.delete(host)
    })
  for (let i = 0; i < containers; i++) {
    const owner = pick(world.random, world.up)!
    const { vni, endpointId } = world.put(owner, i)
    const begun = world.clock.now()
    endpoint = endpointId
    for (const host of world.up) if (host !== owner) waiting.add(host)
    owner.cluster!.put(namesRecord, { vni, endpointId, names })
    await world.clock.advanceUntil(() => waiting.size === 0, 60_000)
    times.push(world.clock.now() - begun)
    await world.clock.advance(500 + below(world.random, 500))
  }
  return times
}
