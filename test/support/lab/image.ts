/**
 * The one container image of the lab, made from the lab's own Debian packages: static busybox,
 * `ping` and `iperf3` with the libraries they need. Every engine loads the same archive.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { cacheDir } from './paths.ts'

export const labImage = 'lab:latest'

/**
 * Returns the image as a tar archive for `docker import`, made on first use. `root` is an engine's
 * root file system.
 */
export async function ensureImageArchive(root: string): Promise<string> {
  const script = path.join(import.meta.dirname, 'image.sh')
  const recipe = createHash('sha256')
    .update(await readFile(script))
    .digest('hex')
    .slice(0, 12)
  const archive = path.join(cacheDir, 'images', `${path.basename(root)}-${recipe}.tar`)
  if (existsSync(archive)) return archive
  await mkdir(path.dirname(archive), { recursive: true })
  const partial = `${archive}.${process.pid}`
  try {
    await execa('unshare', ['--mount', 'sh', script, root], {
      stdout: { file: partial },
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      extendEnv: false,
    })
    await rename(partial, archive)
  } finally {
    await rm(partial, { force: true })
  }
  return archive
}
