/**
 * From the start of `docker network create` on one host until the network is usable on all three, as
 * the engines' APIs say; with our IPAM driver and with the engines' own. For comparison the command
 * itself. Then from the start of a container, a rename and a disconnection until all other hosts'
 * resolvers know of it.
 *
 *     node --conditions=source bench/networks.ts        RUNS=15
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../test/support/lab/host.ts'
import { labImage } from '../test/support/lab/image.ts'
import { Lab } from '../test/support/lab/lab.ts'
import { figure, median, print, spread, table } from './figures.ts'

const runs = Number(process.env['RUNS'] ?? 15)
const pollMs = 5

await using lab = await Lab.create({ hosts: 3 })
const [first, ...others] = [1, 2, 3].map((index) => lab.host(index))
await first!.installPlugin()
for (const host of others) await host.installPlugin({ JOIN: first!.address })
await first!.pluginStatusWhen(({ members }) => members.length === 3, 30_000)

const ours = ['-d', 'ts-overlay', '--ipam-driver', 'ts-overlay']
const ourTimes = await createAll('bench', ours)
const engineTimes = await createAll('plain', ['-d', 'ts-overlay'])
figure('networks: from create to usable on three hosts', median(ourTimes.everywhere))
figure("networks: the same with the engines' own addresses", median(engineTimes.everywhere))
print(
  table(
    ['`docker network create -d ts-overlay …`', `${runs} runs`],
    [
      ['the command', spread(ourTimes.commands, 'ms')],
      ['until it is usable on all three hosts', spread(ourTimes.everywhere, 'ms')],
      ['the command, without --ipam-driver', spread(engineTimes.commands, 'ms')],
      ['until it is usable on all three hosts', spread(engineTimes.everywhere, 'ms')],
    ],
  ),
)
const named = await nameAll()
figure('networks: a renamed container on the other hosts', median(named.renamed))
print(
  table(
    ['until the other two hosts answer so, as their `/status` says', `${runs} runs`],
    [
      ['a new container, from the start of `docker run -d`', spread(named.started, 'ms')],
      ['a rename, from the start of `docker rename`', spread(named.renamed, 'ms')],
      ['a disconnection, from the start of `docker network disconnect`', spread(named.left, 'ms')],
    ],
  ),
)

async function createAll(prefix: string, args: readonly string[]) {
  const [commands, everywhere] = [[] as number[], [] as number[]]
  for (let run = -1; run < runs; run++) {
    const name = `${prefix}${run + 1}`
    const started = performance.now()
    const { durationMs } = await first!.docker(['network', 'create', ...args, name])
    await Promise.all(others.map((host) => has(host, name)))
    const tookMs = performance.now() - started
    await first!.docker(['network', 'rm', name])
    await Promise.all(others.map((host) => has(host, name, 404)))
    if (run < 0) continue
    commands.push(durationMs)
    everywhere.push(tookMs)
  }
  return { commands, everywhere }
}

async function nameAll() {
  const [started, renamed, left] = [[] as number[], [] as number[], [] as number[]]
  await first!.docker(['network', 'create', ...ours, 'names'])
  await Promise.all(others.map((host) => has(host, 'names')))
  const detached = ['run', '-d', '--network', 'names', '--name']
  for (const host of others) await host.docker([...detached, 'asking', labImage, 'sleep', '3600'])
  for (let run = 0; run < runs; run++) {
    const [name, other] = [`web${run}`, `other${run}`]
    const start = ['run', '-d', '--network', 'names', '--name', name, labImage, 'sleep', '3600']
    started.push(await untilAll(name, true, start))
    renamed.push(await untilAll(other, true, ['rename', name, other]))
    left.push(await untilAll(other, false, ['network', 'disconnect', 'names', other]))
    await first!.docker(['rm', '-f', other])
  }
  return { started, renamed, left }
}

/** Milliseconds from the start of a command of Docker's until the other hosts show it. */
async function untilAll(name: string, isKnown: boolean, command: readonly string[]) {
  const begun = performance.now()
  const done = others.map(async (host) => {
    await host.pluginStatusWhen(({ overlays }) => {
      const peers = overlays.flatMap((overlay) => overlay.peers)
      return peers.some(({ names }) => names.includes(name)) === isKnown
    })
    return performance.now() - begun
  })
  await first!.docker(command)
  return Math.max(...(await Promise.all(done)))
}

async function has(host: Host, name: string, status = 200): Promise<void> {
  while ((await host.api('GET', `/networks/${name}`)).status !== status) await sleep(pollMs)
}
