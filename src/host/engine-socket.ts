import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { Every } from '../base/timers.ts'

/**
 * The socket of the engine's API is mounted as a file. An engine that makes a new one while this
 * process lives (live-restore without systemd's docker.socket) is not reached any more: only a new
 * process gets the new file.
 */

/** Long enough for an engine that starts to have its plugins again. */
const intervalMs = 10_000
/** From <linux/net.h>, as /proc/net/unix has it: the socket accepts connections. */
const acceptsConnections = '00010000'

/** Whether another socket listens in place of one with this many links; a removed one has 0. */
export function isReplaced(links: number, procNetUnix: string): boolean {
  const listening = new RegExp(`: \\S+ \\S+ ${acceptsConnections} .*/docker\\.sock$`, 'm')
  return links === 0 && listening.test(procNetUnix)
}

/** Calls `restart` once when the socket has been replaced. Where there is none, does nothing. */
export function watchEngineSocket(path: string, clock: Clock, restart: () => void): void {
  if (linksOf(path) === null) return
  let wasReplaced = false
  const watch: Every = new Every({
    clock,
    intervalMs,
    run: () => {
      const links = linksOf(path) ?? 1
      const replaced = isReplaced(
        links,
        links === 0 ? readFileSync('/proc/net/unix', 'latin1') : '',
      )
      // At the second look: the engine is there to start the plugin again.
      if (replaced && wasReplaced) {
        watch.stop()
        restart()
      }
      wasReplaced = replaced
    },
  })
  watch.start()
}

function linksOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.nlink ?? null
}
