/** A real plugin and image registry (Debian's docker-registry) on the machine outside the hosts. */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Machine } from './machine.ts'
import { until } from './processes.ts'
import { gatewayAddress } from './underlay.ts'

/** How hosts name it; their engines are told that it speaks plain HTTP. */
export const registryAddress = `${gatewayAddress}:5000`

const config = `version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: /var/lib/docker/registry } }
http: { addr: '${registryAddress}' }
`

/** Starts the registry; it ends with its machine. */
export async function startRegistry(machine: Machine): Promise<void> {
  await writeFile(path.join(machine.dir, 'registry.yml'), config)
  const log = openSync(path.join(machine.dir, 'registry.log'), 'a')
  const file = `/lab/${machine.name}/registry.yml`
  const [program, ...args] = machine.enter(['docker-registry', 'serve', file])
  const child = spawn(program!, args, { stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  child.unref()
  const probe = ['bash', '-c', `: < /dev/tcp/${registryAddress.replace(':', '/')}`]
  const answers = async (): Promise<boolean> =>
    (await machine.exec(probe, { reject: false })).exitCode === 0
  await until(answers, 'the registry')
}
