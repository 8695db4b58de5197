import { execa } from 'execa'
import { median } from './figures.ts'
import { type BenchHost, busyDuring } from './machines.ts'

/**
 * Measures traffic between two network namespaces with sockperf, iperf3 and Node, which the
 * machines must have. Several paths take turns within one run, so that what else the machine does
 * meets all of them.
 */

/** A way between two containers, or two hosts. */
export interface Path {
  readonly name: string
  /** The command that runs a command at that end. */
  readonly client: (command: readonly string[]) => readonly string[]
  readonly server: (command: readonly string[]) => readonly string[]
  /** Of the server. */
  readonly address: string
  /** Whose processors work for it, where that is measured. */
  readonly hosts?: readonly BenchHost[]
}

/** One round of a path. One-way times in microseconds: half a round trip. */
export interface Sample {
  readonly udpLeast: number
  readonly udpMedian: number
  readonly udpP99: number
  readonly tcpLeast: number
  readonly tcpMedian: number
  readonly tcpP99: number
  /** Datagrams of 64 bytes received, thousands a second. */
  readonly smallPackets: number
  /** Gb/s of one stream and of eight. */
  readonly oneStream: number
  readonly eightStreams: number
  /** Connections made, used for one byte each way and closed, thousands a second. */
  readonly connections: number
  /** Processor seconds of both hosts for 10⁹ bytes of one stream; NaN where it is not measured. */
  readonly cpuPerGigabyte: number
}

/** What is shown of samples: its heading and unit, and whether the least says more than the median. */
export const columns: readonly (readonly [
  key: keyof Sample,
  name: string,
  unit: string,
  how: 'least' | 'median',
])[] = [
  ['udpLeast', 'UDP one-way, least', 'µs', 'least'],
  ['udpMedian', 'UDP one-way, median', 'µs', 'median'],
  ['udpP99', 'UDP one-way, p99', 'µs', 'median'],
  ['tcpLeast', 'TCP one-way, least', 'µs', 'least'],
  ['tcpMedian', 'TCP one-way, median', 'µs', 'median'],
  ['tcpP99', 'TCP one-way, p99', 'µs', 'median'],
  ['smallPackets', '64-byte datagrams', 'k/s', 'median'],
  ['oneStream', 'TCP, 1 stream', 'Gb/s', 'median'],
  ['eightStreams', 'TCP, 8 streams', 'Gb/s', 'median'],
  ['connections', 'TCP connections', 'k/s', 'median'],
  ['cpuPerGigabyte', 'CPU for a gigabyte', 's', 'median'],
]

const ports = { udp: 11111, tcp: 11112, iperf: 5201, connections: 11113 } as const

/** Plain JavaScript for any Node: answers a byte with a byte. */
const connectionServer = `require('node:net').createServer((socket) => {
  socket.on('data', (byte) => socket.end(byte)).on('error', () => {})
}).listen(+process.argv[1], process.argv[2])`

/** Keeps sixteen connections under way for so many seconds, then prints how many were answered. */
const connectionClient = `const [, address, port, seconds] = process.argv
const end = Date.now() + seconds * 1000
let answered = 0
function next() {
  if (Date.now() > end) return
  const socket = require('node:net').connect(+port, address, () => socket.write('x'))
  socket.on('data', () => answered++).on('error', () => {}).on('close', next)
}
for (let i = 0; i < 16; i++) next()
process.on('exit', () => console.log(answered))`

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
    const [program, ...words] = server(command)
    void execa(program!, words, { cancelSignal: signal, reject: false, stdio: 'ignore' })
  }
  start('sockperf', 'server', '-i', address, '-p', String(ports.udp))
  start('sockperf', 'server', '--tcp', '-i', address, '-p', String(ports.tcp))
  start('iperf3', '-s', '-B', address, '-p', String(ports.iperf))
  start('node', '-e', connectionServer, String(ports.connections), address)
}

async function sample(path: Path, seconds: number): Promise<Sample> {
  const udp = await pingPong(path, 'udp', seconds)
  const tcp = await pingPong(path, 'tcp', seconds)
  const flood = await iperf(path, seconds, '-u', '-b', '0', '-l', '64')
  const one = await busyDuring(path.hosts ?? [], () => iperf(path, seconds))
  const eight = await iperf(path, seconds, '-P', '8')
  const gigabytes = (one.result.bitsPerSecond * seconds) / 8e9
  return {
    udpLeast: udp.least,
    udpMedian: udp.median,
    udpP99: udp.p99,
    tcpLeast: tcp.least,
    tcpMedian: tcp.median,
    tcpP99: tcp.p99,
    smallPackets: flood.packetsPerSecond / 1e3,
    oneStream: one.result.bitsPerSecond / 1e9,
    eightStreams: eight.bitsPerSecond / 1e9,
    connections: (await connections(path, seconds)) / 1e3,
    cpuPerGigabyte: path.hosts === undefined ? Number.NaN : one.seconds / gigabytes,
  }
}

async function pingPong(
  path: Path,
  protocol: 'udp' | 'tcp',
  seconds: number,
): Promise<{ least: number; median: number; p99: number }> {
  const flags = protocol === 'tcp' ? ['--tcp'] : []
  const where = ['-i', path.address, '-p', String(ports[protocol]), '-t', String(seconds)]
  const said = await runAtClient(path, ['sockperf', 'pp', ...flags, ...where])
  const value = (pattern: RegExp): number => Number(pattern.exec(said)?.[1] ?? Number.NaN)
  return {
    least: value(/<MIN> observation\s*=\s*([\d.]+)/),
    median: value(/percentile 50\.0+\s*=\s*([\d.]+)/),
    p99: value(/percentile 99\.0+\s*=\s*([\d.]+)/),
  }
}

/** A second. */
async function connections(path: Path, seconds: number): Promise<number> {
  const words = [path.address, String(ports.connections), String(seconds)]
  return Number(await runAtClient(path, ['node', '-e', connectionClient, ...words])) / seconds
}

/** As iperf3's JSON has it, as far as it is read. */
interface IperfReport {
  readonly error?: string
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number }
    readonly sum?: {
      readonly packets: number
      readonly lost_packets: number
      readonly seconds: number
    }
  }
}

async function iperf(
  path: Path,
  seconds: number,
  ...flags: readonly string[]
): Promise<{ bitsPerSecond: number; packetsPerSecond: number }> {
  const where = ['-c', path.address, '-p', String(ports.iperf), '-t', String(seconds)]
  const said = await runAtClient(path, ['iperf3', '-J', ...where, ...flags])
  const { end, error } = JSON.parse(said) as IperfReport
  if (end.sum_received === undefined) throw new Error(`iperf3 to ${path.name}: ${error}`)
  const { packets = 0, lost_packets: lost = 0, seconds: took = 1 } = end.sum ?? {}
  return {
    bitsPerSecond: end.sum_received.bits_per_second,
    packetsPerSecond: (packets - lost) / took,
  }
}

async function runAtClient({ client }: Path, command: readonly string[]): Promise<string> {
  const [program, ...words] = client(command)
  return (await execa(program!, words)).stdout
}
