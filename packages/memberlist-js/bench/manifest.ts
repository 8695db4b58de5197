/**
 * Makes package.json what the tarball can keep to, and back: without the scripts, whose files are
 * not in it, and without the condition `source`, which leads to TypeScript, where Node strips no
 * types below node_modules. `npm pack` calls it with `pack` before and with `restore` after.
 */
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'

interface Manifest {
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const manifest = new URL('../package.json', import.meta.url)
const original = new URL('../package.original.json', import.meta.url)

/** Also after a run that was broken off. */
function restore(): void {
  if (existsSync(original)) renameSync(original, manifest)
}

function published(manifest: Manifest): object {
  const exports = Object.entries(manifest.exports).map(([path, conditions]) => [
    path,
    without(conditions, 'source'),
  ])
  return { ...without(manifest, 'scripts'), exports: Object.fromEntries(exports) as object }
}

const without = (of: object, name: string): object =>
  Object.fromEntries(Object.entries(of).filter(([each]) => each !== name))

const [what] = process.argv.slice(2)
if (what !== 'pack' && what !== 'restore') throw new Error('say pack or restore')
restore()
if (what === 'pack') {
  copyFileSync(manifest, original)
  const text = readFileSync(manifest, 'utf8')
  writeFileSync(manifest, `${JSON.stringify(published(JSON.parse(text) as Manifest), null, 2)}\n`)
}
