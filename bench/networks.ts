/**
 * From the start of `docker network create` on one host until the network is usable on all three, as
 * the engines' APIs say. For comparison the command itself.
 *
 *     node --conditions=source bench/networks.ts        RUNS=15
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../test/support/lab/host.ts'
import { Lab } from '../test/support/lab/lab.ts'
import { figure, median, print, spread, table } from './figures.ts'

const runs = Number(process.env['RUNS'] ?? 15)
const pollMs = 5

await using lab = await Lab.create({ hosts: 3 })
const [first, ...others] = [1, 2, 3].map((index) => lab.host(index))
await first!.installPlugin()
for (const host of others) await host.installPlugin({ JOIN: first!.address })
await first!.pluginStatusWhen(({ members }) => members.length === 3, 30_000)

const [commands, everywhere] = [[] as number[], [] as number[]]
for (let run = -1; run < runs; run++) {
  const name = `bench${run + 1}`
  const started = performance.now()
  const args = ['network', 'create', '-d', 'ts-overlay', '--ipam-driver', 'ts-overlay', name]
  const { durationMs } = await first!.docker(args)
  await Promise.all(others.map((host) => has(host, name)))
  if (run < 0) continue
  commands.push(durationMs)
  everywhere.push(performance.now() - started)
}
figure('networks: from create to usable on three hosts', median(everywhere))
print(
  table(
    ['`docker network create -d ts-overlay …`', `${runs} runs`],
    [
      ['the command', spread(commands, 'ms')],
      ['until it is usable on all three hosts', spread(everywhere, 'ms')],
    ],
  ),
)

async function has(host: Host, name: string): Promise<void> {
  while ((await host.api('GET', `/networks/${name}`)).status !== 200) await sleep(pollMs)
}
