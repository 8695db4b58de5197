import { request } from 'node:http'
import { parseArgs } from 'node:util'
import { messageOf } from './base/errors.ts'
import { printable, printableLines } from './base/printable.ts'

/*
 * The command line: asks the plugin on this host, over the socket that `GET /status` is on. It
 * knows nothing that the plugin does not answer.
 */

const usage = `usage: ts-overlay [--socket PATH] COMMAND

  status             all that the plugin knows, as JSON
  members            this cluster's hosts, one a line: name, address, state
  evict [--force] MEMBER...
                     these hosts are gone for good, and their containers with them: their addresses are
                     free. A host that can be reached is evicted only with --force
  recover [--force]  a majority of the voters is gone for good: makes a new cluster out of what this host
                     has agreed on. The other hosts join it. With --force also while a majority answers
  drop-network ID    removes a network that this host's engine does not have (docker network ls), as after
                     the engine was killed while it created it; the first digits of its id will do
`
const socketDefault = '/run/docker/plugins/ts-overlay.sock'
/** Evicting waits for the other members; nothing takes longer, in milliseconds. */
const maxAnswerMs = 15_000

/** What of `/status` the commands read. */
interface Status {
  readonly members: readonly { name: string; address: string; state: string; self: boolean }[]
}

main().catch((error: unknown) => {
  process.stderr.write(`ts-overlay: ${printableLines(messageOf(error))}\n`)
  process.exitCode = 1
})

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      socket: { type: 'string', default: socketDefault },
      help: { type: 'boolean', short: 'h', default: false },
      force: { type: 'boolean', default: false },
    },
  })
  const [command, ...names] = positionals
  if (values.help) return print(usage)
  if (command === 'status' && names.length === 0)
    return print(await ask(values.socket, 'GET', '/status'))
  if (command === 'members' && names.length === 0) return printMembers(values.socket)
  if (command === 'evict' && names.length > 0) {
    const path = `/members/${names.map(encodeURIComponent).join(',')}`
    await ask(values.socket, 'DELETE', values.force ? `${path}?force=true` : path)
    return print(`evicted: ${printable(names.join(', '))}\n`)
  }
  if (command === 'recover' && names.length === 0) {
    const answer = await ask(
      values.socket,
      'POST',
      values.force ? '/recover?force=true' : '/recover',
    )
    return print(`recovered: ${printable((JSON.parse(answer) as { cluster: string }).cluster)}\n`)
  }
  if (command === 'drop-network' && names.length === 1) {
    await ask(values.socket, 'DELETE', `/networks/${encodeURIComponent(names[0]!)}`)
    return print(`removed: ${printable(names[0]!)}\n`)
  }
  process.stderr.write(usage)
  process.exitCode = 2
}

async function printMembers(socket: string): Promise<void> {
  const status = JSON.parse(await ask(socket, 'GET', '/status')) as Status
  for (const { name, address, state, self } of status.members)
    print(`${printable(name)}\t${address}\t${state}${self ? ' (this host)' : ''}\n`)
}

function print(text: string): void {
  process.stdout.write(text)
}

/** Returns the answer's text. Rejects with the plugin's own words when it refuses. */
function ask(socketPath: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: maxAnswerMs }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8')
        if (answer.statusCode === 200) resolve(text)
        else reject(new Error(reasonIn(text) ?? `status ${answer.statusCode}: ${text}`))
      })
    })
    call.on('timeout', () => call.destroy(new Error(`no answer within ${maxAnswerMs / 1000} s`)))
    call.on('error', (error) =>
      reject(new Error(`${socketPath}: ${error.message}; is the plugin enabled on this host?`)),
    )
    call.end()
  })
}

function reasonIn(text: string): string | null {
  try {
    const { error, code, Err } = JSON.parse(text) as { error?: string; code?: string; Err?: string }
    return error === undefined ? (Err ?? null) : `${error} [${code}]`
  } catch {
    return null
  }
}
