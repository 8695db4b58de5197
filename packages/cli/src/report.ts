import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { release, version } from 'node:os'
import { promisify } from 'node:util'
import { printableLines } from '../../../src/base/printable.ts'
import type { AdminSocket } from './admin-socket.ts'
import { tarGz } from './tar.ts'

const run = promisify(execFile)
const maxCommandMs = 5000

/** What is asked of the plugin, by the file it goes to. */
const requests: readonly (readonly [file: string, path: string])[] = [
  ['status.json', '/status'],
  ['events.json', '/events'],
  ['views.json', '/views'],
  ['metrics.txt', '/metrics'],
]

/** What is asked of the host. What is not installed, or fails, is told in the file. */
const commands: readonly (readonly [file: string, ...command: string[]])[] = [
  ['docker-version.txt', 'docker', 'version'],
  ['docker-info.txt', 'docker', 'info'],
  ['plugins.txt', 'docker', 'plugin', 'ls', '--no-trunc'],
  ['networks.txt', 'docker', 'network', 'ls', '--no-trunc'],
  ['links.txt', 'ip', '-details', '-statistics', 'link', 'show'],
  ['addresses.txt', 'ip', 'address', 'show'],
  ['routes.txt', 'ip', 'route', 'show', 'table', 'all'],
  ['udp.txt', 'ss', '-lunp'],
  ['firewall.txt', 'nft', 'list', 'ruleset'],
]

/** Words after which a secret may stand: those of settings, and of their values. */
const secretSetting = /\b((?:TOKEN|SECRET|PASSWORD)\w*)=([^\s"',]*)/gi
const joinToken = /\bTSO-\d+-[\w-]+/g

/** `text` without join tokens and without the values of settings that are secrets. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(joinToken, 'TSO-(removed)').replaceAll(secretSetting, '$1=(removed)')
}

/**
 * Writes all that helps to find a fault, without secrets, to one archive; `tell` is called with
 * each step. Container names, addresses and host names are in it. Returns the archive's files.
 */
export async function writeReport(
  socket: AdminSocket,
  target: string,
  tell: (step: string) => void,
): Promise<string[]> {
  const files = new Map<string, string>()
  const add = async (file: string, read: () => Promise<string>): Promise<void> => {
    tell(file)
    const text = await read().catch((error: unknown) => `(not available: ${String(error)})\n`)
    files.set(`ts-overlay-report/${file}`, withoutSecrets(printableLines(text)))
  }
  await add('host.txt', hostText)
  for (const [file, path] of requests) await add(file, () => socket.text('GET', path))
  for (const [file, program, ...args] of commands)
    await add(file, async () => (await run(program!, args, { timeout: maxCommandMs })).stdout)
  const archive = tarGz(files, Math.floor(Date.now() / 1000))
  await writeFile(target, archive, { mode: 0o600, flag: 'wx' })
  return [...files.keys()]
}

async function hostText(): Promise<string> {
  const system = await readFile('/etc/os-release', 'utf8').catch(() => '')
  return `kernel ${release()} ${version()}\nnode ${process.version}\n${system}`
}
