/**
 * How long a plugin takes from its start to its first answer that has 20 networks of five
 * containers in its store, and seeds that do not answer. It is killed before each start.
 *
 *     node --conditions=source bench/restart.ts        as root; RUNS=15
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NetnsLab } from '../test/netns/netns-lab.ts'
import { EngineStory } from '../test/support/engine-story.ts'
import { FakeEngine } from '../test/support/fake-engine.ts'
import { PluginProcess, bundleProgram } from '../test/support/plugin-process.ts'
import { figure, median, print, spread, table } from './figures.ts'

const runs = Number(process.env['RUNS'] ?? 15)
const networks = 20
const containersEach = 5
const seeds = 'no-such-host.invalid,192.0.2.77,192.0.2.78:7947'

const lab = await NetnsLab.create()
const folder = await mkdtemp(join(tmpdir(), 'ts-overlay-bench-'))
const program = await bundleProgram()
const netns = await lab.namespace('host')
for (const command of [
  'link add eth0 type bridge',
  'addr add 192.0.2.1/24 dev eth0',
  'link set eth0 up',
])
  await lab.run(netns, 'ip', ...command.split(' '))

const start = (more: Readonly<Record<string, string>>): Promise<PluginProcess> =>
  PluginProcess.start({ program, netns, folder, env: { ADVERTISE_ADDR: '192.0.2.1', ...more } })

async function fill({ managed }: PluginProcess): Promise<void> {
  const engine = new FakeEngine({ socket: managed, version: '28.5.2' })
  for (let n = 0; n < networks; n++) {
    const story = new EngineStory(engine, `10.70.${n}.0/24`)
    await story.createNetwork()
    for (let c = 0; c < containersEach; c++) await story.start(`${n} ${c}`)
  }
  engine.close()
}

let plugin = await start({})
try {
  await fill(plugin)
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    await plugin.end('SIGKILL')
    plugin = await start({ JOIN: seeds })
    times.push(plugin.answeredAfterMs)
  }
  figure('start: first answer with 20 networks', median(times))
  const what = `with ${networks} networks of ${containersEach} containers in its store`
  print(table(['plugin start to first answer', `${runs} runs`], [[what, spread(times, 'ms')]]))
} finally {
  await plugin.end('SIGKILL')
  lab.close()
  await rm(folder, { recursive: true })
}
