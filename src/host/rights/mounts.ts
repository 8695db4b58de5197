import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bindMount, detachMount, makePrivate, remount } from './libc.ts'

/**
 * The engine's files that the plugin needs are two: the folder with the network namespaces of
 * containers, and the socket of the API. Neither can be mounted by itself, for the first is not
 * there before the first container of a boot and the second may never be. So config.json mounts
 * /run, and this takes the two out of it and detaches the rest, where containerd's socket is.
 */
export interface RunMounts {
  /** Where config.json mounts the engine's /run, read-only. */
  readonly run: string
  /** What is taken out of it goes here. */
  readonly kept: string
  /** The API's socket below `run`; empty for none. */
  readonly engineSocket: string
}

/** Network namespaces of containers, below the engine's /run. */
const namespaces = 'docker/netns'

/** Narrows the mount of /run. Does nothing where there is none, as outside of a managed plugin. */
export function narrowRun({ run, kept, engineSocket }: RunMounts): void {
  if (!existsSync(join(run, 'docker'))) return
  if (!existsSync(join(run, namespaces))) {
    // As the engine makes it for the first container.
    remount(run, 'writable')
    mkdirSync(join(run, namespaces), { recursive: true, mode: 0o755 })
    remount(run, 'read-only')
  }
  mkdirSync(join(kept, 'netns'), { recursive: true })
  bindMount(join(run, namespaces), join(kept, 'netns'))
  if (engineSocket !== '' && existsSync(join(run, engineSocket))) {
    writeFileSync(join(kept, 'docker.sock'), '', { flag: 'a' })
    bindMount(join(run, engineSocket), join(kept, 'docker.sock'))
  }
  // Or the namespaces that are there already would be unmounted from what is kept, too.
  makePrivate(run)
  detachMount(run)
}
