import { readdirSync } from 'node:fs'
import { errnoOf, isBug, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import { deleteLinkIfExists } from '../netlink/link.ts'
import {
  linkGroup,
  overlayOfAlias,
  pinName,
  pinNamePattern,
  wireguardPinName,
} from '../netlink/names.ts'
import { OverlayNetns } from './overlay-netns.ts'
import { Pin } from './pin.ts'

/**
 * The overlays that have a namespace pinned in one of the directories. What cannot be read is
 * logged.
 */
export function pinnedOverlays(directories: readonly string[], logger: Logger): Promise<string[]> {
  return forEachPin(directories, logger, async (pin, file) => {
    // A foreign mount has no name of ours; it is logged at the start.
    const netns = pinNamePattern.test(file) ? OverlayNetns.open(pin) : null
    try {
      const overlayId = netns === null ? null : overlayIn(netns)
      return overlayId === null || pinName(overlayId) !== file ? [] : [overlayId]
    } finally {
      netns?.close()
    }
  })
}

/**
 * Removes what a crash or a reboot left incomplete: files without a namespace, namespaces without
 * an overlay, veth pairs without an alias. Complete overlays stay, known or not. What cannot be
 * removed is logged and stays.
 */
export async function sweepPins(directories: readonly string[], logger: Logger): Promise<void> {
  await forEachPin(directories, logger, async (pin) => {
    await sweepPin(pin, logger)
    return []
  })
}

/** All that `visit` returns. */
async function forEachPin(
  directories: readonly string[],
  logger: Logger,
  visit: (pin: Pin, file: string) => Promise<string[]>,
): Promise<string[]> {
  const found: string[] = []
  for (const file of filesIn(directories, logger)) {
    const pin = new Pin(directories, file, (message) => logger.warn(message))
    try {
      found.push(...(await visit(pin, file)))
    } catch (error) {
      if (isBug(error)) throw error
      logger.warn(`${pin.path} cannot be read: ${messageOf(error)}`)
    }
  }
  return found
}

function filesIn(directories: readonly string[], logger: Logger): Set<string> {
  const files = directories.flatMap((directory) => {
    try {
      return readdirSync(directory)
    } catch (error) {
      // Created with the first pin.
      if (errnoOf(error) !== 'ENOENT') logger.warn(`pins cannot be listed: ${messageOf(error)}`)
      return []
    }
  })
  return new Set(files.filter((file) => file !== wireguardPinName))
}

async function sweepPin(pin: Pin, logger: Logger): Promise<void> {
  const netns = OverlayNetns.open(pin)
  if (netns === null) {
    pin.remove()
    return
  }
  try {
    if (overlayIn(netns) === null) {
      logger.info(`namespace ${pin.path} has no overlay in it and is removed`)
      await netns.clear()
      return
    }
    for (const link of netns.links())
      if (link.kind === 'veth' && link.alias === '' && link.group === linkGroup)
        deleteLinkIfExists(netns.socket, link.index)
  } finally {
    netns.close()
  }
}

/** The overlay that a namespace is for, by the alias of any link in it. */
function overlayIn(netns: OverlayNetns): string | null {
  const aliases = netns.links().map((link) => overlayOfAlias(link.alias))
  return aliases.find((overlayId) => overlayId !== null) ?? null
}
