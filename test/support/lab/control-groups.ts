/**
 * Control groups are the one thing of a container that the kernel does not remove with its last
 * process. Containers of a lab are in a parent group of the lab's name; a managed plugin's group
 * has the plugin's id and lies wherever the engine found itself. Both are on every hierarchy: one
 * on cgroup v2, a dozen on v1.
 */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'

const mountPoint = '/sys/fs/cgroup'
/** A group stays busy for a moment after its last process; then there is nothing to wait for. */
const attempts = 20
const pauseMs = 50

/**
 * Removes the control groups of a lab, whose processes must be gone and whose folder must still be
 * there.
 */
export async function removeControlGroups(labDir: string): Promise<void> {
  const names = [path.basename(labDir), ...(await pluginIds(labDir))]
  const matching = names.flatMap((name) => [
    '-path',
    `*/${name}`,
    '-o',
    '-path',
    `*/${name}/*`,
    '-o',
  ])
  const groups = [mountPoint, '-depth', '-type', 'd', '(', ...matching.slice(0, -1), ')']
  for (let attempt = 0; attempt < attempts; attempt++) {
    await execa('find', [...groups, '-delete'], { reject: false })
    const left = await execa('find', groups, { reject: false })
    if (left.stdout === '') return
    await sleep(pauseMs)
  }
}

async function pluginIds(labDir: string): Promise<string[]> {
  const machines = await readdir(labDir).catch(() => [])
  const plugins = machines.map((machine) => path.join(labDir, machine, 'docker/plugins'))
  const names = await Promise.all(plugins.map((dir) => readdir(dir).catch(() => [])))
  return names.flat().filter((name) => /^[0-9a-f]{64}$/.test(name))
}
