import type { Command } from 'commander'
import { AdminSocket, socketDefault } from './admin-socket.ts'

/** Of `status`: all well, something wrong, no answer. Other commands: done, refused, no answer. */
export const exitCodes = { ok: 0, trouble: 1, away: 2, differ: 2 } as const

export interface Options {
  readonly socket?: string
  readonly json?: boolean
  readonly all?: boolean
  readonly force?: boolean
  readonly output?: string
  readonly follow?: boolean
  readonly hours?: string
  readonly uses?: string
  readonly rotate?: boolean
  readonly wireguard?: boolean
}

/** What a command is given. */
export interface Call {
  readonly socket: AdminSocket
  readonly options: Options
  readonly args: readonly string[]
}

type Run = (call: Call) => Promise<number | void>

/** Adds a command with `--socket` and `--json`, which may also stand before its name. */
export function add(program: Command, usage: string, summary: string, run: Run): Command {
  return program
    .command(usage)
    .summary(summary)
    .description(summary)
    .option('--socket <path>', `the plugin's socket (default: ${socketDefault})`)
    .option('--json', 'answer in JSON, as docs/cli.md describes')
    .exitOverride()
    .action(async (...given: unknown[]) => {
      const command = given.at(-1) as Command
      const options = command.optsWithGlobals<Options>()
      const code = await run({
        socket: new AdminSocket(options.socket),
        options,
        args: command.args,
      })
      if (typeof code === 'number') process.exitCode = code
    })
}
