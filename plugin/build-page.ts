/** Builds the page into one file, `page.html`: script and style are in it, nothing else is loaded. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'
import { packageFolders } from './bundle.ts'
import { projectDir } from './project.ts'

const folder = path.join(projectDir, 'packages/page')

/** Builds it to `outDir`. Returns the folders of npm packages in it. */
export async function buildPage(outDir: string): Promise<string[]> {
  const result = await build({
    entryPoints: [path.join(folder, 'src/main.tsx'), path.join(folder, 'src/page.css')],
    outdir: outDir,
    write: false,
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['chrome123', 'firefox121', 'safari17.5'],
    tsconfig: path.join(folder, 'tsconfig.json'),
    legalComments: 'none',
    charset: 'utf8',
    absWorkingDir: projectDir,
    metafile: true,
    logLevel: 'warning',
  })
  const text = (extension: string): string =>
    result.outputFiles.find((file) => file.path.endsWith(extension))!.text.trim()
  const html = [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ts-overlay</title>',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<link rel="icon" href="data:,"><style>${text('.css')}</style></head>`,
    `<body><script>${text('.js')}</script></body></html>`,
  ]
  await mkdir(outDir, { recursive: true })
  await writeFile(path.join(outDir, 'page.html'), `${html.join('\n')}\n`)
  return packageFolders(Object.keys(result.metafile.inputs))
}
