/**
 * The plugin's programs, each bundled into one file with all that it imports, so that little is
 * read at start.
 */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type Plugin, build } from 'esbuild'
import { projectDir } from './project.ts'

/** What stands for `import.meta.url`, which CommonJS has not. */
const urlShim = "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;"
/** What stands for esbuild's `__toESM` of a module of Node; see `keepBuiltinsLazy`. */
const builtinShim =
  'const builtinModule = (module) => Object.defineProperty(Object.create(module), "default", { value: module });'
/** What the plugin's servers read and send, of the 2,500 types that the package mime-db knows. */
const mediaTypes = new Set([
  'application/json',
  'application/octet-stream',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'text/html',
  'text/plain',
])

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
    banner: { js: `${urlShim}${builtinShim}` },
    legalComments: 'none',
    absWorkingDir: projectDir,
    metafile: true,
    logLevel: 'warning',
    plugins: [withoutUnusedTables],
    write: false,
  })
  await mkdir(outDir, { recursive: true })
  for (const file of result.outputFiles) await writeFile(file.path, keepBuiltinsLazy(file.text))
  return packageFolders(Object.keys(result.metafile.inputs))
}

/**
 * esbuild copies the properties of a module that is imported as a default. Of node:util that loads
 * what Node leaves until it is used: ICU, the colours of a terminal, standard error.
 */
export function keepBuiltinsLazy(script: string): string {
  return script.replaceAll(/__toESM\((require\("node:[^"]+"\)),1\)/g, 'builtinModule($1)')
}

/**
 * Express brings tables of all media types and of all character sets, a third of the bundle, which
 * are read at each start. Left are the media types above, and the encodings that Node knows itself.
 */
const withoutUnusedTables: Plugin = {
  name: 'without-unused-tables',
  setup(bundler) {
    bundler.onLoad({ filter: /\/mime-db\/db\.json$/ }, async (args) => {
      const all = JSON.parse(await readFile(args.path, 'utf8')) as Record<string, object>
      const some = Object.entries(all).filter(([type]) => mediaTypes.has(type))
      return { contents: JSON.stringify(Object.fromEntries(some)), loader: 'json' }
    })
    bundler.onLoad({ filter: /\/iconv-lite\/encodings\/index\.js$/ }, () => ({
      contents: 'module.exports = require("./internal")',
    }))
  },
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
