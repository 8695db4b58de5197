import type { Command } from 'commander'
import { AdminSocket } from './admin-socket.ts'
import type { Status } from './status-view.ts'

/** Of cobra's protocol, which Docker's completion speaks: no file names after these. */
const noFiles = ':4'
/** What the arguments of commands may be. */
const wordsFor: Readonly<Record<string, (status: Status) => string[][]>> = {
  evict: hostsIn,
  ping: hostsIn,
  trace: hostsIn,
  'add-subnet': ({ overlays }) => overlays.map(({ overlayId, vni }) => [overlayId, `VNI ${vni}`]),
}

function hostsIn({ members }: Status): string[][] {
  return members.filter(({ self }) => !self).map(({ name, state }) => [name, state])
}

/**
 * What may follow `words`, the last of which is being written: a line `word<TAB>description` each,
 * then a directive. Docker's own completion asks for that by `__complete`, the scripts below too.
 */
export async function completions(program: Command, words: readonly string[]): Promise<string[]> {
  const current = words.at(-1) ?? ''
  const command = commandOf(program, words.slice(0, -1))
  const below = visibleCommands(command).map((known) => [known.name(), known.summary()])
  const found = current.startsWith('-')
    ? command.options.map(({ long, description }) => [long ?? '', description])
    : below.length > 0
      ? below
      : await argumentsOf(command.name())
  const lines = found
    .filter(([word]) => word!.startsWith(current))
    .map(([word, text]) => (text === '' ? word! : `${word}\t${text}`))
  return [...lines, noFiles]
}

/** The command that these words lead to; options and arguments lead nowhere. */
function commandOf(program: Command, words: readonly string[]): Command {
  return words.reduce(
    (command, word) => command.commands.find((known) => known.name() === word) ?? command,
    program,
  )
}

function visibleCommands(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((known) => known.name() !== 'help')
}

async function argumentsOf(command: string): Promise<string[][]> {
  if (command === 'completion') return [['bash'], ['zsh']].map(([shell]) => [shell!, ''])
  const words = wordsFor[command]
  if (words === undefined) return []
  return new AdminSocket().ask<Status>('GET', '/status').then(words, () => [])
}

const bash = `# ts-overlay: add to ~/.bashrc:  eval "$(ts-overlay completion bash)"
_ts_overlay() {
  local IFS=$'\\n'
  COMPREPLY=($(ts-overlay __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | sed -e '/^:/d' -e 's/\\t.*//'))
}
complete -F _ts_overlay ts-overlay
`

const zsh = `# ts-overlay: add to ~/.zshrc, after compinit:  eval "$(ts-overlay completion zsh)"
_ts_overlay() {
  local -a found
  local line
  while IFS= read -r line; do
    [[ $line == :* ]] && continue
    found+=("\${\${line//:/\\\\:}/$'\\t'/:}")
  done < <(ts-overlay __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe ts-overlay found
}
compdef _ts_overlay ts-overlay
`

/** What a shell reads to complete \`ts-overlay\`. */
export const completionScripts: Readonly<Record<string, string>> = { bash, zsh }
