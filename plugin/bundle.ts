/**
 * The plugin's programs, each bundled into one file with all that it imports, so that little is
 * read at start.
 */
import { cp, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'
import { projectDir } from './project.ts'

/** What stands for `import.meta.url`, which CommonJS has not. */
const urlShim = "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;"

/**
 * Bundles each entry (name without extension → source file) to `outDir/NAME.cjs`. Returns the
 * folders of the npm packages that ended up in the bundles, whose licences must go along.
 *
 * CommonJS, because an ES module that imports all of node:http makes Node load its WebSocket and
 * fetch as well, some 20 ms; and without white space, because every start reads it all.
 */
export async function bundle(
  entries: Readonly<Record<string, string>>,
  outDir: string,
): Promise<string[]> {
  const result = await build({
    entryPoints: { ...entries },
    outdir: outDir,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    minifyWhitespace: true,
    minifySyntax: true,
    target: 'node24',
    conditions: ['source'],
    define: { 'process.env.NODE_ENV': '"production"', 'import.meta.url': 'importMetaUrl' },
    banner: { js: urlShim },
    legalComments: 'none',
    absWorkingDir: projectDir,
    metafile: true,
    logLevel: 'warning',
  })
  return packageFolders(Object.keys(result.metafile.inputs))
}

/** The folders of npm packages among source files, paths relative to the checkout. */
export function packageFolders(files: readonly string[]): string[] {
  const folders = files.flatMap((file) => {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)
    return match === null ? [] : [match[1]!]
  })
  return [...new Set(folders)].sort()
}

/**
 * Copies koffi's machine code to where its script, which is in the bundles, looks for it: the one
 * npm package of this platform, in `node_modules` beside the bundles. Returns the package's folder,
 * and the copied files from `outDir`.
 */
export async function copyKoffi(
  outDir: string,
): Promise<{ readonly folder: string; readonly files: readonly string[] }> {
  const folder = `node_modules/@koromix/koffi-linux-${process.arch}`
  const names = ['package.json', 'index.js', `linux_${process.arch}/koffi.node`]
  const files = names.map((name) => path.join(folder, name))
  for (const file of files) {
    const target = path.join(outDir, file)
    await mkdir(path.dirname(target), { recursive: true })
    await cp(path.join(projectDir, file), target)
  }
  return { folder, files }
}
