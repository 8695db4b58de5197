/**
 * Removes labs that a crashed or kept run left behind: `make clean`. With `--cache` also the root
 * file systems and images, which the next run builds again.
 */
import { rm } from 'node:fs/promises'
import { cacheDir } from './paths.ts'
import { sweepLabs } from './register.ts'

const removed = await sweepLabs({ kept: true })
for (const dir of removed) process.stdout.write(`removed ${dir}\n`)
if (process.argv.includes('--cache')) {
  await rm(cacheDir, { recursive: true, force: true })
  process.stdout.write(`removed ${cacheDir}\n`)
}
