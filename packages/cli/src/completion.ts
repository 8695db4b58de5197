import type { Command } from 'commander'
import { AdminSocket } from './admin-socket.ts'
import type { Status } from './status-view.ts'

/** Of cobra's protocol, which Docker's completion speaks: no file names after these. */
const noFiles = ':4'
/** Commands whose arguments are hosts. */
const ofHosts = ['evict', 'ping', 'trace']

/**
 * What may follow `words`, the last of which is being written: a line `word<TAB>description` each,
 * then a directive. Docker's own completion asks for that by `__complete`, the scripts below too.
 */
export async function completions(program: Command, words: readonly string[]): Promise<string[]> {
  const [current = '', ...before] = words.toReversed()
  const name = before.toReversed().find((word) => !word.startsWith('-'))
  const command = program.commands.find((known) => known.name() === name)
  const found = current.startsWith('-')
    ? (command ?? program).options.map(({ long, description }) => [long ?? '', description])
    : command === undefined
      ? visibleCommands(program).map((known) => [known.name(), known.summary()])
      : await argumentsOf(command.name())
  const lines = found
    .filter(([word]) => word!.startsWith(current))
    .map(([word, text]) => (text === '' ? word! : `${word}\t${text}`))
  return [...lines, noFiles]
}

function visibleCommands(program: Command): Command[] {
  return program.createHelp().visibleCommands(program)
}

async function argumentsOf(command: string): Promise<string[][]> {
  if (command === 'completion') return [['bash'], ['zsh']].map(([shell]) => [shell!, ''])
  if (!ofHosts.includes(command)) return []
  try {
    const { members } = await new AdminSocket().ask<Status>('GET', '/status')
    return members.filter(({ self }) => !self).map(({ name, state }) => [name, state])
  } catch {
    return []
  }
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
