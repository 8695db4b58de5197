/**
 * From nothing to three hosts with a Compose application: the commands that a user types, and how
 * long they take. Engines run, the plugin is in a registry on the same machine, and the image of
 * the application is there. Not counted: the reader's own time.
 *
 *     node --conditions=source bench/first-network.ts         (after `make plugin`, as root)
 */
import { randomBytes } from 'node:crypto'
import type { Host } from '../test/support/lab/host.ts'
import { labImage } from '../test/support/lab/image.ts'
import { Lab } from '../test/support/lab/lab.ts'
import { guest } from '../test/support/lab/paths.ts'
import { until } from '../test/support/lab/processes.ts'
import { registryAddress } from '../test/support/lab/registry.ts'
import { figure, print, table } from './figures.ts'

const reference = `${registryAddress}/ts-overlay/ts-overlay:1.0`
const network = 'compose_shared'
const composeFile = `${guest.project}/examples/compose/compose.yaml`

await using lab = await Lab.create({ hosts: 3, registry: true })
const [one, two, three] = lab.hosts as readonly [Host, Host, Host]

await one.docker(['plugin', 'create', reference, `${guest.project}/build/plugin`])
await one.docker(['plugin', 'push', reference])
await one.docker(['plugin', 'rm', reference])

const commands: [on: Host, command: readonly string[], ms: number][] = []
async function type(on: Host, command: readonly string[]): Promise<void> {
  const started = performance.now()
  await on.exec(command, { env: { IMAGE: labImage }, timeout: 120_000 })
  commands.push([on, command, performance.now() - started])
}

// A token that was chosen beforehand, as configuration management does, saves the call of `invite`.
const token = `TOKEN=${randomBytes(32).toString('hex')}`
const install = ['docker', 'plugin', 'install', '--grant-all-permissions', reference, token]
const started = performance.now()
await type(one, install)
for (const on of [two, three]) await type(on, [...install, `JOIN=${one.address}`])
await type(one, ['docker', 'compose', '--file', composeFile, 'up', '--detach'])
const hasNetwork = async (on: Host): Promise<boolean> =>
  (await on.docker(['network', 'ls', '--format', '{{.Name}}'])).stdout.split('\n').includes(network)
for (const on of [two, three]) await until(() => hasNetwork(on), `${network} on ${on.name}`)
// Every host reaches the application by its name.
const ping = ['run', '--rm', '--network', network, labImage, 'ping', '-c', '1', 'web']
for (const on of [two, three])
  await until(
    async () => (await on.docker(ping, { reject: false })).exitCode === 0,
    `web reached from ${on.name}`,
  )
const seconds = (performance.now() - started) / 1000

figure('first network: commands', commands.length)
figure('first network: seconds to three hosts with a Compose application', seconds)
print(
  table(
    ['host', 'command', 'time'],
    commands.map(([on, command, ms]) => {
      return [on.name, command.slice(0, 3).join(' '), `${(ms / 1000).toFixed(1)} s`]
    }),
  ),
)
print(`${commands.length} commands, ${seconds.toFixed(0)} s until web answers on all three hosts`)
