/**
 * Where the lab keeps things. Nothing is written inside the checkout.
 *
 * - cache: root file systems and images that are the same for every run (a few hundred MB, kept);
 * - lab folder: one run's hosts, their engines' data and logs (removed with the lab).
 */
import { tmpdir } from 'node:os'
import path from 'node:path'

export const projectDir = path.resolve(import.meta.dirname, '../../..')

/** Kept between runs; `TS_OVERLAY_CACHE_DIR` moves it. */
export const cacheDir = process.env['TS_OVERLAY_CACHE_DIR'] ?? '/var/cache/ts-overlay'

/**
 * A lab's folder is `PREFIX` and a random tail; `TS_OVERLAY_LAB_DIR` names the folder to put them
 * in.
 */
export const labParentDir = process.env['TS_OVERLAY_LAB_DIR'] ?? tmpdir()
export const labDirPrefix = 'ts-overlay-lab-'

/** One JSON file a lab that exists, so that `make clean` finds what a crashed run left. */
export const labRegisterDir = path.join(cacheDir, 'labs')

/** Where every lab machine sees the lab folder and the checkout (the latter read-only). */
export const guest = { lab: '/lab', project: '/project' } as const
