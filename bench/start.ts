/**
 * From the start of the plugin's process to its first answer, with the bundle and the binary that
 * ship.
 *
 *     node --conditions=source bench/start.ts         RUNS=15        (after `make plugin`)
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { figure, median, print, spread, table } from './figures.ts'

const runs = Number(process.env['RUNS'] ?? 15)
const root = resolve(import.meta.dirname, '../build/plugin/rootfs')
/** What the plugin keeps of its own program from one start to the next. */
const compileCache = join(root, 'app/compile-cache')
/** Between two looks at the socket, in milliseconds: the grain of the figure. */
const pollMs = 2
/** No start takes longer, in milliseconds. */
const startMostMs = 10_000

const folder = mkdtempSync(join(tmpdir(), 'ts-overlay-start-'))
try {
  const times = { first: [] as number[], later: [] as number[] }
  const processor: number[] = []
  for (let run = 0; run < runs; run++) {
    rmSync(compileCache, { recursive: true, force: true })
    times.first.push((await timeOneStart(`first${run}`)).wallMs)
    const later = await timeOneStart(`later${run}`)
    times.later.push(later.wallMs)
    processor.push(later.processorMs)
  }
  figure('start: first answer after an install', median(times.first))
  figure('start: first answer later', median(times.later))
  figure("start: the main thread's processor time later", median(processor))
  print(
    table(
      ['plugin start to first answer', `${runs} runs`],
      [
        ['the first after an install', spread(times.first, 'ms')],
        ['every later one', spread(times.later, 'ms')],
        ["of that, the main thread's processor time", spread(processor, 'ms')],
      ],
    ),
  )
} finally {
  rmSync(compileCache, { recursive: true, force: true })
  rmSync(folder, { recursive: true, force: true })
}

interface StartTimes {
  readonly wallMs: number
  /** Of the main thread: it says more where other programs want the processors, too. */
  readonly processorMs: number
}

async function timeOneStart(run: string): Promise<StartTimes> {
  const socket = join(folder, `${run}.sock`)
  const started = performance.now()
  const child = spawn(
    join(root, 'app/launcher'),
    [join(root, 'usr/bin/node'), join(root, 'app/start.cjs')],
    {
      stdio: 'ignore',
      env: {
        PATH: process.env['PATH'],
        ADVERTISE_ADDR: '127.0.0.1',
        BIND_ADDR: '127.0.0.1',
        GOSSIP_PORT: '17946',
        VXLAN_PORT: '14789',
        STATE_DIR: join(folder, `state${run}`),
        LEGACY_SOCKET_DIR: folder,
        MANAGED_SOCKET: socket,
      },
    },
  )
  try {
    await firstAnswer(child, socket, started + startMostMs)
    const wallMs = performance.now() - started
    const [processorNs] = readFileSync(`/proc/${child.pid!}/schedstat`, 'utf8').split(' ')
    return { wallMs, processorMs: Number(processorNs) / 1e6 }
  } finally {
    await ended(child)
  }
}

async function firstAnswer(child: ChildProcess, socket: string, until: number): Promise<void> {
  while (performance.now() < until && child.exitCode === null) {
    if (existsSync(socket) && (await answers(socket))) return
    await new Promise((wake) => setTimeout(wake, pollMs))
  }
  throw new Error(`the plugin did not answer on ${socket}`)
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((tell) => {
    const path = '/NetworkDriver.GetCapabilities'
    const call = request({ socketPath, path, method: 'POST' }, (answer) => {
      answer.resume()
      tell(answer.statusCode === 200)
    })
    call.on('error', () => tell(false))
    call.end()
  })
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve()
  return new Promise((tell) => {
    child.once('exit', () => tell())
    child.kill('SIGTERM')
  })
}
