import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../base/logger.ts'
import { deleteIfThere } from './endpoint-links.ts'
import { linkGroup, overlayOfAlias } from './names.ts'
import { unpin } from './netns.ts'
import { OverlayNetns } from './overlay-netns.ts'

/**
 * Removes what a crash or a reboot left half made: files without a namespace, namespaces without an
 * overlay, veth pairs that never got their mark. Whole overlays stay, whoever knows them.
 */
export function sweepPins(directory: string, logger: Logger): void {
  for (const file of readdirSync(directory)) sweepPin(join(directory, file), logger)
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
export function overlayIn(netns: OverlayNetns): string | null {
  const aliases = netns.links().map((link) => overlayOfAlias(link.alias))
  return aliases.find((overlayId) => overlayId !== null) ?? null
}
