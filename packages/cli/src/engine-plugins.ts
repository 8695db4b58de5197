import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** What is asked of this host's engine, by `docker`, and not of the plugin. */

const run = promisify(execFile)
const maxCommandMs = 5000
/** In config.json: what tells our plugin from others, whatever its name is. */
const ownSocket = 'ts-overlay.sock'

/** Names of the engine's plugins. Null where there is no `docker`, or it does not answer. */
export function pluginNames(): Promise<string[] | null> {
  return linesOf('plugin', 'ls', '--format', '{{.Name}}')
}

/** The name under which the engine has our plugin; null when it has none, or several. */
export async function ownPluginName(): Promise<string | null> {
  const ids = (await linesOf('plugin', 'ls', '--quiet')) ?? []
  if (ids.length === 0) return null
  const format = '{{.Config.Interface.Socket}} {{.Enabled}} {{.Name}}'
  const lines = (await linesOf('plugin', 'inspect', '--format', format, ...ids)) ?? []
  const own = lines.map((line) => line.split(' ')).filter(isOwn)
  return own.length === 1 ? own[0]![2]!.replace(/:latest$/, '') : null
}

function isOwn([socket, enabled]: readonly string[]): boolean {
  return socket === ownSocket && enabled === 'true'
}

async function linesOf(...args: string[]): Promise<string[] | null> {
  const ran = await run('docker', args, { timeout: maxCommandMs }).catch(() => null)
  return ran === null ? null : ran.stdout.split('\n').filter((line) => line !== '')
}
