import { basename } from 'node:path'
import { CommanderError } from 'commander'
import { printableLines } from '../../../src/base/printable.ts'
import { PluginAway } from './admin-socket.ts'
import { metadata, metadataCall, ownWords } from './docker.ts'
import { exitCodes } from './command.ts'
import { createProgram } from './program.ts'

/*
 * `ts-overlay COMMAND`, and the same as a plugin of Docker's command line, `docker tsoverlay
 * COMMAND`.
 */

async function main(): Promise<void> {
  const [, file = '', ...words] = process.argv
  if (words[0] === metadataCall) process.stdout.write(`${JSON.stringify(metadata)}\n`)
  else await createProgram().parseAsync(ownWords(basename(file), words), { from: 'user' })
}

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.away
    return
  }
  const text = error instanceof Error ? error.message : String(error)
  process.stderr.write(`ts-overlay: ${printableLines(text)}\n`)
  process.exitCode = error instanceof PluginAway ? exitCodes.away : exitCodes.trouble
})
