/**
 * Programs of machine code in the plugin's root file system, with the shared libraries that they
 * load.
 */
import { chmod, cp, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'

/**
 * Copies `source` to `target` in the root file system, and each library to the path that the loader
 * looks at.
 */
export async function copyProgram(root: string, source: string, target: string): Promise<string[]> {
  const copied = await copyFileInto(root, source, target)
  const libraries = await librariesOf(source)
  for (const library of libraries) await copyFileInto(root, library, library)
  await chmod(copied, 0o755)
  return libraries
}

/** Removes the symbol table, which nothing reads at run time. */
export async function strip(file: string): Promise<void> {
  const stripped = await execa('strip', ['--strip-all', file], { reject: false })
  if (stripped.failed)
    throw new Error(`strip ${file} failed: install binutils; the image is 20 MB larger without`)
}

async function copyFileInto(root: string, source: string, target: string): Promise<string> {
  const file = path.join(root, target)
  await mkdir(path.dirname(file), { recursive: true })
  await cp(source, file, { dereference: true })
  return file
}

/**
 * The libraries of a program or library, the loader included, by the paths at which they are looked
 * up.
 */
async function librariesOf(file: string): Promise<string[]> {
  const listed = await execa('ldd', [file], { reject: false })
  if (listed.failed) return []
  return [...listed.stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!)
}
