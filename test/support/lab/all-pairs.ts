/**
 * Whether all containers of a network reach each other, at less than a millisecond a pair.
 *
 * A kernel keeps at most 1024 neighbours (net.ipv4.neigh.default.gc_thresh3) for all namespaces
 * together, and the hosts of the lab have one kernel. So the pairs are tried in batches, and what
 * the containers have learned is dropped after each.
 */
import { type Placed, inspectContainer } from './containers.ts'
import type { Host } from './host.ts'

/** A batch is a group against a group: 2 × 15 × 15 neighbours. */
const groupSize = 15

/**
 * Standard input: containers, each with what it pings. Prints who did not answer, and that all were
 * tried. By its shell, busybox's ping needs no new program.
 */
const pingAll = `
  while read pid from addresses; do
    nsenter --net=/proc/$pid/ns/net busybox sh -c \
      'for a; do ping -c 1 -W 1 $a > /dev/null || echo $a; done; echo all' sh $addresses < /dev/null | sed "s/^/$from to /"
  done`
const forgetAll = `
  while read pid; do nsenter --net=/proc/$pid/ns/net ip neigh flush all < /dev/null; done`

type Pinger = Placed & { readonly pid: number }

/**
 * One packet for each pair, which has to find its way there and the answer back. Returns the pairs
 * without an answer.
 */
export async function unreachedPairs(network: string, all: readonly Placed[]): Promise<string[]> {
  const hosts = [...new Set(all.map(({ host }) => host))]
  const pingers = await Promise.all(
    all.map(async (one) => ({
      ...one,
      pid: (await inspectContainer(one.host, network, one.name)).pid,
    })),
  )
  // Equal work for all hosts in each batch.
  const mixed = pingers.toSorted((a, b) => a.name.localeCompare(b.name))
  const groups = Array.from({ length: Math.ceil(mixed.length / groupSize) }, (_, i) =>
    mixed.slice(i * groupSize, (i + 1) * groupSize),
  )
  const unreached: string[] = []
  for (const [i, from] of groups.entries()) {
    for (const to of groups.slice(i)) {
      const found = await Promise.all(hosts.map((on) => unreachedFrom(on, from, to)))
      unreached.push(...found.flat())
      // Not before all have their answers: what is forgotten too early takes a packet that waits
      // for it along.
      await Promise.all(hosts.map((on) => forget(on, [...new Set([...from, ...to])])))
    }
  }
  return unreached
}

async function unreachedFrom(
  on: Host,
  from: readonly Pinger[],
  to: readonly Pinger[],
): Promise<string[]> {
  const lines = from.flatMap(({ host, pid, ip }, i) => {
    // Within one group each pair once.
    const others = from === to ? from.slice(i + 1) : to
    return host === on ? [`${pid} ${ip} ${others.map((other) => other.ip).join(' ')}\n`] : []
  })
  const { stdout, stderr } = await on.exec(['sh', '-c', pingAll], { input: lines.join('') })
  const said = stdout.split('\n').filter(Boolean)
  const unreached = said.filter((line) => !line.endsWith(' to all'))
  if (said.length - unreached.length !== lines.length)
    throw new Error(`${on.name}: not all containers could ping: ${stderr}`)
  return unreached
}

async function forget(on: Host, some: readonly Pinger[]): Promise<void> {
  const pids = some.filter(({ host }) => host === on).map(({ pid }) => `${pid}\n`)
  await on.exec(['sh', '-c', forgetAll], { input: pids.join('') })
}
