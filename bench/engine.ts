/**
 * ts-overlay against Docker's own overlay, on the same two Docker hosts, in the same run, taking
 * turns: how long `docker run … true` takes, and TCP throughput between containers on two hosts.
 * Also how long our CreateEndpoint and Join take inside the plugin.
 *
 *     node --conditions=source bench/engine.ts        RUNS=15 STREAM_SECONDS=5 STREAMS=5
 */
import type { Host } from '../test/support/lab/host.ts'
import { Lab } from '../test/support/lab/lab.ts'
import { figure, median, print, spread, table } from './figures.ts'

const runs = Number(process.env['RUNS'] ?? 15)
const streamSeconds = Number(process.env['STREAM_SECONDS'] ?? 5)
const streams = Number(process.env['STREAMS'] ?? 5)
const image = 'lab:latest'
const networks = ['ours', 'theirs'] as const
type Network = (typeof networks)[number]

await using lab = await Lab.create({ hosts: 2 })
const [a, b] = [lab.host(1), lab.host(2)]
await createNetworks()
await measureStarts()
await measureStreams()

async function createNetworks(): Promise<void> {
  // A swarm has the usual ports for itself.
  const ports = { GOSSIP_PORT: '7947', VXLAN_PORT: '4790' }
  await a.installPlugin(ports)
  await b.installPlugin({ ...ports, JOIN: a.address })
  await b.pluginStatusWhen((status) => status.members.length === 2, 10_000)
  await a.docker(
    'network create -d ts-overlay --ipam-driver ts-overlay --subnet 10.10.0.0/16 ours'.split(' '),
  )
  await b.pluginStatusWhen(({ overlays }) => overlays.length === 1, 10_000)
  await a.docker(['swarm', 'init', '--advertise-addr', a.address])
  const { stdout: token } = await a.docker(['swarm', 'join-token', '-q', 'worker'])
  await b.docker(['swarm', 'join', '--token', token.trim(), `${a.address}:2377`])
  await a.docker('network create -d overlay --attachable --subnet 10.20.0.0/16 theirs'.split(' '))
}

async function measureStarts(): Promise<void> {
  const times = { ours: [] as number[], theirs: [] as number[] }
  for (let run = -1; run < runs; run++)
    for (const network of run % 2 === 0 ? networks : networks.toReversed()) {
      const { durationMs } = await a.docker(['run', '--rm', '--network', network, image, 'true'])
      if (run >= 0) times[network].push(durationMs)
    }
  figure('engine: docker run, ratio to overlay', median(times.ours) / median(times.theirs))
  const first = await timesInside(a)
  // On the other host the overlay is there already: a container of it runs.
  await b.docker(['run', '-d', '--network', 'ours', image, 'sleep', '3600'])
  for (let run = 0; run < runs; run++)
    await b.docker(['run', '--rm', '--network', 'ours', image, 'true'])
  const later = await timesInside(b)
  print(
    table(
      ['`docker run --rm … true`, first container of the network on the host', `${runs} runs`],
      [
        ['ts-overlay', spread(times.ours, 'ms')],
        ["Docker's own overlay", spread(times.theirs, 'ms')],
        ['ratio of medians', (median(times.ours) / median(times.theirs)).toFixed(2)],
        ['CreateEndpoint + Join in the plugin, first container, medians', first],
        ['CreateEndpoint + Join in the plugin, later containers, medians', later],
      ],
    ),
  )
}

/** The medians of the two calls on that host since its plugin started. */
async function timesInside(host: Host): Promise<string> {
  const { calls } = await host.pluginStatus()
  const [create, join] = ['NetworkDriver.CreateEndpoint', 'NetworkDriver.Join'].map(
    (method) => calls[method]?.medianMs ?? Number.NaN,
  )
  return `${create!.toFixed(2)} + ${join!.toFixed(2)} = ${(create! + join!).toFixed(2)} ms`
}

async function measureStreams(): Promise<void> {
  const rates = { ours: [] as number[], theirs: [] as number[] }
  const servers = { ours: await startServer('ours'), theirs: await startServer('theirs') }
  for (const network of networks)
    await a.docker([
      'run',
      '-d',
      '--name',
      `client-${network}`,
      '--network',
      network,
      image,
      'sleep',
      '3600',
    ])
  for (let run = 0; run < streams; run++)
    for (const network of run % 2 === 0 ? networks : networks.toReversed())
      rates[network].push(await throughput(a, network, servers[network]))
  figure('engine: TCP throughput, ratio to overlay', median(rates.ours) / median(rates.theirs))
  print('')
  print(
    table(
      [
        'TCP, one stream, container to container on two hosts',
        `${streams} runs of ${streamSeconds} s`,
      ],
      [
        ['ts-overlay', spread(rates.ours, 'Gb/s', 2)],
        ["Docker's own overlay", spread(rates.theirs, 'Gb/s', 2)],
        ['ratio of medians', (median(rates.ours) / median(rates.theirs)).toFixed(2)],
      ],
    ),
  )
}

/** Starts a server container on host B. Returns its address on the network. */
async function startServer(network: Network): Promise<string> {
  const name = `server-${network}`
  await b.docker(['run', '-d', '--name', name, '--network', network, image, 'iperf3', '-s'])
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`
  return (await b.docker(['inspect', '-f', format, name])).stdout.trim()
}

async function throughput(host: Host, network: Network, server: string): Promise<number> {
  const { stdout } = await host.docker(
    ['exec', `client-${network}`, 'iperf3', '-J', '-t', String(streamSeconds), '-c', server],
    { timeout: (streamSeconds + 20) * 1000 },
  )
  const report = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } }
  return report.end.sum_received.bits_per_second / 1e9
}
