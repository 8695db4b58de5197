import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { AssertionError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { deleteIfThere } from './endpoint-links.ts'
import { linkGroup, overlayOfAlias, pinName, pinNamePattern } from './names.ts'
import { unpin } from './netns.ts'
import { OverlayNetns } from './overlay-netns.ts'

/** The overlays that have a namespace in `directory`. */
export function pinnedOverlays(directory: string): string[] {
  return readdirSync(directory).flatMap((file) => {
    // A stranger's mount has no name of ours; it is reported at the start.
    if (!pinNamePattern.test(file)) return []
    const netns = OverlayNetns.open(join(directory, file))
    try {
      const overlayId = netns === null ? null : overlayIn(netns)
      return overlayId === null || pinName(overlayId) !== file ? [] : [overlayId]
    } finally {
      netns?.close()
    }
  })
}

/**
 * Removes what a crash or a reboot left half made: files without a namespace, namespaces without an
 * overlay, veth pairs that never got their mark. Whole overlays stay, whoever knows them. What cannot be
 * removed is reported and stays.
 */
export function sweepPins(directory: string, logger: Logger): void {
  for (const file of readdirSync(directory)) {
    const path = join(directory, file)
    try {
      sweepPin(path, logger)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      logger.warn(`${path} could not be looked through: ${messageOf(error)}`)
    }
  }
}

function sweepPin(path: string, logger: Logger): void {
  const netns = OverlayNetns.open(path)
  if (netns === null) {
    unpin(path)
    return
  }
  if (overlayIn(netns) === null) {
    logger.info(`namespace ${path} has no overlay in it and is removed`)
    netns.destroy()
    return
  }
  for (const link of netns.links())
    if (link.kind === 'veth' && link.alias === '' && link.group === linkGroup)
      deleteIfThere(netns.socket, link.index)
  netns.close()
}

/** The overlay that a namespace is for, by the alias of any link in it. */
function overlayIn(netns: OverlayNetns): string | null {
  const aliases = netns.links().map((link) => overlayOfAlias(link.alias))
  return aliases.find((overlayId) => overlayId !== null) ?? null
}
