/**
 * Rewrites the API section of the README from the doc comments; with a file as argument also the
 * figures.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { apiReference, presetTable } from '../test/support/api-reference.ts'
import { replaceSection } from '../test/support/readme.ts'

const path = new URL('../README.md', import.meta.url)
const figures = process.argv[2]
let readme = replaceSection(readFileSync(path, 'utf8'), 'api', apiReference())
readme = replaceSection(readme, 'presets', presetTable())
if (figures !== undefined) {
  readme = replaceSection(readme, 'figures', `\n${readFileSync(figures, 'utf8')}\n`)
}
writeFileSync(path, readme)
