import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Setting, settingsTable } from './table.ts'

/** The markers in README around the table of settings. */
const opening = '<!-- settings -->'
const closing = '<!-- /settings -->'

const settable = Object.values<Setting<unknown, string | null>>(settingsTable).filter(
  (entry) => entry.settable,
)

/**
 * One entry of config.json's `env`. An empty value shows up in `docker plugin inspect`; null not.
 */
interface EnvEntry {
  readonly name: string
  readonly description: string
  readonly settable: readonly string[]
  readonly value: string
}

/** The `env` section of config.json. */
export function envSection(): EnvEntry[] {
  return settable.map(({ name, description, preset }) => ({
    name,
    description,
    settable: ['value'],
    value: preset ?? '',
  }))
}

/** The table of settings in Markdown, as prettier leaves it alone. */
export function settingsMarkdown(): string {
  const rows = settable.map(({ name, description, preset, absent }) => [
    `\`${name}\``,
    preset === null ? (absent ?? '') : `\`${preset}\``,
    description.replaceAll('*', '\\*'),
  ])
  const table = [['Setting', 'Default', 'What it is'], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [line(table[0]!), rule, ...table.slice(1).map(line)].join('\n')
}

/** `readme` with its table brought up to date; null when it has no place for one. */
export function withSettings(readme: string): string | null {
  const begin = readme.indexOf(opening)
  const end = readme.indexOf(closing)
  if (begin < 0 || end < begin) return null
  const before = readme.slice(0, begin + opening.length)
  return `${before}\n\n${settingsMarkdown()}\n\n${readme.slice(end)}`
}

/** The text of config.json with its env section brought up to date. */
export function withEnv(config: string): string {
  const manifest: unknown = JSON.parse(config)
  return `${JSON.stringify({ ...(manifest as object), env: envSection() }, null, 2)}\n`
}

/** Rewrites both files: `node --conditions=source src/settings/docs.ts`, then `npm run fmt`. */
function main(): void {
  const root = resolve(import.meta.dirname, '../..')
  const configPath = resolve(root, 'config.json')
  writeFileSync(configPath, withEnv(readFileSync(configPath, 'utf8')))
  const readmePath = resolve(root, 'README.md')
  const readme = withSettings(readFileSync(readmePath, 'utf8'))
  if (readme === null) process.stderr.write(`README.md has no ${opening} … ${closing}\n`)
  else writeFileSync(readmePath, readme)
}

if (import.meta.main) main()
