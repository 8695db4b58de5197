/**
 * Control groups are the one thing of a container that the kernel does not remove with its last process. Each lab has
 * one parent group of its own name, in every hierarchy (one on cgroup v2, a dozen on v1).
 */
import { readdir, rmdir } from 'node:fs/promises'
import path from 'node:path'

const mountPoint = '/sys/fs/cgroup'

/** Removes the groups of that name with all below them. Processes in them must be gone. */
export async function removeControlGroups(name: string): Promise<void> {
  const hierarchies = await readdir(mountPoint, { withFileTypes: true })
  const roots = hierarchies.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  for (const root of ['.', ...roots]) await removeGroup(path.join(mountPoint, root, name))
}

async function removeGroup(dir: string): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  for (const entry of entries)
    if (entry.isDirectory()) await removeGroup(path.join(dir, entry.name))
  // Absent, or a group that has just lost its last process and is not free yet: the next sweep comes by.
  await rmdir(dir).catch(() => {})
}
