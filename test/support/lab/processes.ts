/** Looking at processes of this machine through /proc. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { scaled } from '../time.ts'

/** A process, told apart from a later one that got the same id. */
export interface ProcessMark {
  readonly pid: number
  /** Clock ticks after boot at which the process began: field 22 of /proc/PID/stat. */
  readonly startTicks: string
}

export async function markProcess(pid: number): Promise<ProcessMark> {
  const startTicks = await readStartTicks(pid)
  if (startTicks === undefined) throw new Error(`process ${pid} is gone`)
  return { pid, startTicks }
}

export async function isAlive(mark: ProcessMark): Promise<boolean> {
  return (await readStartTicks(mark.pid)) === mark.startTicks
}

/** Kills the process if it is still the one that was marked, and waits until it is gone. */
export async function killMarked(mark: ProcessMark, timeoutMs = 10_000): Promise<void> {
  if (!(await isAlive(mark))) return
  process.kill(mark.pid, 'SIGKILL')
  await until(async () => !(await isAlive(mark)), `end of process ${mark.pid}`, timeoutMs)
}

/**
 * The start of a living process; undefined for none and for a zombie, which holds nothing any more.
 */
async function readStartTicks(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field is the program's name in brackets and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state] = fields
  return state === undefined || state === '' || state === 'Z' ? undefined : fields[19]
}

/** Process ids of the direct children of a process's main thread. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

/**
 * Polls until `condition` holds; the error says what was waited for and for how long. The time-out
 * is scaled. The pause is at least as long as the condition took, so that waiting leaves half of a
 * busy processor to what is waited for.
 */
export async function until(
  condition: () => Promise<boolean> | boolean,
  what: string,
  timeoutMs = 10_000,
  pollMs = 20,
): Promise<void> {
  const limitMs = scaled(timeoutMs)
  const deadline = performance.now() + limitMs
  for (;;) {
    const begun = performance.now()
    if (await condition()) return
    const ended = performance.now()
    if (ended > deadline) throw new Error(`waited ${limitMs} ms without success for ${what}`)
    await sleep(Math.max(pollMs, ended - begun))
  }
}
