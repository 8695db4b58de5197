import { readFileSync } from 'node:fs'
import { presets } from 'memberlist-js'

const source = (path: string): string =>
  readFileSync(new URL(`../../src/${path}`, import.meta.url), 'utf8')

/** In the order in which a reader wants them. */
const FILES = [
  'memberlist.ts',
  'events.ts',
  'delegate.ts',
  'member.ts',
  'socket-address.ts',
  'config.ts',
  'keyring.ts',
  'errors.ts',
  'core/joining/joiner.ts',
  'transport/transport.ts',
  'transport/socket.ts',
  'transport/memory.ts',
  'ports/clock.ts',
  'ports/random.ts',
  'ports/virtual-clock.ts',
  'ports/seeded-random.ts',
  'ports/system-clock.ts',
  'ports/system-random.ts',
] as const

/**
 * A documented declaration: its comment and its first line or lines, as far as they are signature.
 */
interface Entry {
  readonly indent: number
  readonly comment: string
  readonly signature: string
}

/** The reference in Markdown, made of the doc comments of all that `index.ts` exports. */
export function apiReference(): string {
  const exported = exportedNames(source('index.ts'))
  return FILES.map((file) => describeFile(source(file), exported)).join('')
}

/** The options and their values; wan and local only where they differ from lan. */
export function presetTable(): string {
  const { lan, wan, local } = presets
  const options = Object.keys(lan) as (keyof typeof lan)[]
  const differing = (value: unknown, option: keyof typeof lan) =>
    value === lan[option] ? '' : value
  const rows = options.map((option) => [
    `\`${option}\``,
    lan[option],
    differing(wan[option], option),
    differing(local[option], option),
  ])
  const lines = [['option', 'lan', 'wan', 'local'], ['-', '-', '-', '-'], ...rows]
  return `\n${lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')}\n`
}

function exportedNames(index: string): ReadonlySet<string> {
  const lists = [...index.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap((match) =>
    match[1]!.split(','),
  )
  return new Set(
    lists.map((name) => name.replace('type ', '').trim()).filter((name) => name !== ''),
  )
}

function describeFile(text: string, exported: ReadonlySet<string>): string {
  let output = ''
  let shown = false
  for (const entry of entriesOf(text)) {
    if (entry.indent === 0) {
      const name = /(?:interface|class|type|const|function) (\w+)/.exec(entry.signature)?.[1] ?? ''
      shown = entry.signature.startsWith('export') && exported.has(name)
      if (shown) output += heading(name, entry)
    } else if (shown && isPublic(entry.signature)) {
      output += `- \`${tidy(entry.signature)}\`: ${entry.comment}\n`
    }
  }
  return output
}

function heading(name: string, { signature, comment }: Entry): string {
  const signatureLine = /(?:type|function|const) /.test(signature)
    ? `\n\n\`${tidy(signature.replace('export ', ''))}\``
    : ''
  return `\n### ${name}${signatureLine}\n\n${comment}\n\n`
}

function isPublic(signature: string): boolean {
  return !/^(#|private|readonly #|constructor\(\{|\[Symbol)/.test(signature)
}

function tidy(signature: string): string {
  return signature
    .replaceAll(/^(static )?(async|readonly|override) /g, '$1')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('( ', '(')
    .replaceAll(/,? \)/g, ')')
    .replaceAll(/= \| /g, '= ')
}

function* entriesOf(text: string): Generator<Entry> {
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const opening = /^( *)\/\*\*/.exec(lines[i]!)
    if (opening === null) {
      // What has no comment is not shown, nor what belongs to it.
      if (lines[i]!.startsWith('export ')) yield { indent: 0, comment: '', signature: '' }
      continue
    }
    const comment: string[] = []
    for (; i < lines.length; i++) {
      comment.push(lines[i]!)
      if (lines[i]!.includes('*/')) break
    }
    let signature = lines[++i] ?? ''
    while (!isWhole(signature, lines[i + 1])) signature += ` ${lines[++i]!.trim()}`
    yield { indent: opening[1]!.length, comment: proseOf(comment), signature: head(signature) }
  }
}

/**
 * Whether all brackets of a signature are closed, a body apart, and no further alternative of a
 * type follows.
 */
function isWhole(signature: string, next: string | undefined): boolean {
  if (next === undefined) return true
  const text = signature.trimEnd()
  if (text.startsWith('export type') && /^ +(\||\/\*\*)/.test(next)) return false
  const count = (pattern: RegExp) => (text.match(pattern) ?? []).length
  return count(/\(/g) === count(/\)/g)
}

/** Without body, value and trailing punctuation. */
function head(signature: string): string {
  const text = signature.trim()
  if (text.startsWith('export type')) return text.replaceAll(/\/\*\*.*?\*\/ /g, '')
  const cut = text.includes('(') ? text.replace(/ \{$/, '') : text.replace(/ (=.*|\{)$/, '')
  return cut.replace(/[,;]$/, '').trim()
}

function proseOf(comment: readonly string[]): string {
  return comment
    .map((line) =>
      line
        .replace(/^ *\/?\*+\/?/, '')
        .replace(/\*\/$/, '')
        .trim(),
    )
    .join(' ')
    .replaceAll(/\{@link ([\w.]+)\}/g, '`$1`')
    .replaceAll(/\s+/g, ' ')
    .trim()
}
