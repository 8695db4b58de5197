import { execa } from 'execa'
import { median } from './figures.ts'

/**
 * Measures traffic between two network namespaces with sockperf and iperf3, which must be
 * installed. Several paths take turns within one run, so that what else the machine does meets all
 * of them.
 */

/** A way between two containers, or two hosts. */
export interface Path {
  readonly name: string
  /** What `nsenter` takes: `--net=FILE`. */
  readonly client: string
  readonly server: string
  /** Of the server. */
  readonly address: string
}

/** One round of a path. One-way times in microseconds: half a round trip. */
export interface Sample {
  readonly udpLeast: number
  readonly udpMedian: number
  readonly udpP99: number
  readonly tcpLeast: number
  readonly tcpMedian: number
  /** Datagrams of 64 bytes received, thousands a second. */
  readonly smallPackets: number
  /** Gb/s of one stream and of eight. */
  readonly oneStream: number
  readonly eightStreams: number
}

const ports = { udp: 11111, tcp: 11112, iperf: 5201 } as const

/** Why nothing can be measured; null when it can. */
export async function missingTools(): Promise<string | null> {
  for (const tool of ['sockperf', 'iperf3'])
    if ((await execa('which', [tool], { reject: false })).failed)
      return `${tool} is not installed: apt install sockperf iperf3`
  return null
}

/** Measures all paths in turn, `rounds` times with `seconds` for each measurement. */
export async function takeTurns(
  paths: readonly Path[],
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<Map<string, Sample[]>> {
  const samples = new Map(paths.map(({ name }) => [name, [] as Sample[]]))
  const servers = new AbortController()
  try {
    for (const path of paths) startServers(path, servers.signal)
    await new Promise((resolve) => setTimeout(resolve, 1000))
    for (let round = 0; round < rounds; round++)
      for (const path of round % 2 === 0 ? paths : paths.toReversed())
        samples.get(path.name)!.push(await sample(path, seconds))
  } finally {
    servers.abort()
  }
  return samples
}

/** The median over the rounds of one value. */
export function medianOf(samples: readonly Sample[], value: keyof Sample): number {
  return median(samples.map((one) => one[value]))
}

/** The least over the rounds of one value. */
export function leastOf(samples: readonly Sample[], value: keyof Sample): number {
  return Math.min(...samples.map((one) => one[value]))
}

function startServers({ server, address }: Path, signal: AbortSignal): void {
  const start = (...command: string[]): void => {
    const options = { cancelSignal: signal, reject: false, stdio: 'ignore' } as const
    void execa('nsenter', [server, ...command], options)
  }
  start('sockperf', 'server', '-i', address, '-p', String(ports.udp))
  start('sockperf', 'server', '--tcp', '-i', address, '-p', String(ports.tcp))
  start('iperf3', '-s', '-B', address, '-p', String(ports.iperf))
}

async function sample(path: Path, seconds: number): Promise<Sample> {
  const udp = await pingPong(path, 'udp', seconds)
  const tcp = await pingPong(path, 'tcp', seconds)
  const flood = await iperf(path, seconds, '-u', '-b', '0', '-l', '64')
  const one = await iperf(path, seconds)
  const eight = await iperf(path, seconds, '-P', '8')
  return {
    udpLeast: udp.least,
    udpMedian: udp.median,
    udpP99: udp.p99,
    tcpLeast: tcp.least,
    tcpMedian: tcp.median,
    smallPackets: flood.packetsPerSecond / 1e3,
    oneStream: one.bitsPerSecond / 1e9,
    eightStreams: eight.bitsPerSecond / 1e9,
  }
}

async function pingPong(
  { client, address }: Path,
  protocol: 'udp' | 'tcp',
  seconds: number,
): Promise<{ least: number; median: number; p99: number }> {
  const flags = protocol === 'tcp' ? ['--tcp'] : []
  const where = ['-i', address, '-p', String(ports[protocol]), '-t', String(seconds)]
  const { stdout } = await execa('nsenter', [client, 'sockperf', 'pp', ...flags, ...where])
  const value = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? Number.NaN)
  return {
    least: value(/<MIN> observation\s*=\s*([\d.]+)/),
    median: value(/percentile 50\.0+\s*=\s*([\d.]+)/),
    p99: value(/percentile 99\.0+\s*=\s*([\d.]+)/),
  }
}

/** As iperf3's JSON has it, as far as it is read. */
interface IperfReport {
  readonly end: {
    readonly sum_received: { readonly bits_per_second: number }
    readonly sum?: {
      readonly packets: number
      readonly lost_packets: number
      readonly seconds: number
    }
  }
}

async function iperf(
  { client, address }: Path,
  seconds: number,
  ...flags: readonly string[]
): Promise<{ bitsPerSecond: number; packetsPerSecond: number }> {
  const where = ['-c', address, '-p', String(ports.iperf), '-t', String(seconds)]
  const { stdout } = await execa('nsenter', [client, 'iperf3', '-J', ...where, ...flags])
  const { end } = JSON.parse(stdout) as IperfReport
  const { packets = 0, lost_packets: lost = 0, seconds: took = 1 } = end.sum ?? {}
  return {
    bitsPerSecond: end.sum_received.bits_per_second,
    packetsPerSecond: (packets - lost) / took,
  }
}
