import { readdirSync } from 'node:fs'
import { errnoOf, isBug, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import { deleteLinkIfExists } from '../links/endpoint-links.ts'
import { linkGroup, overlayOfAlias, pinName, pinNamePattern } from '../netlink/names.ts'
import { OverlayNetns } from './overlay-netns.ts'
import { Pin } from './pin.ts'

/** The overlays that have a namespace in one of the directories. What cannot be looked at is reported. */
export function pinnedOverlays(directories: readonly string[], logger: Logger): string[] {
  return lookThrough(directories, logger, (pin, file) => {
    // A stranger's mount has no name of ours; it is reported at the start.
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
 * Removes what a crash or a reboot left half made: files without a namespace, namespaces without an
 * overlay, veth pairs that never got their mark. Whole overlays stay, whoever knows them. What cannot be
 * removed is reported and stays.
 */
export function sweepPins(directories: readonly string[], logger: Logger): void {
  lookThrough(directories, logger, (pin) => {
    sweepPin(pin, logger)
    return []
  })
}

/** All that `look` finds. */
function lookThrough(
  directories: readonly string[],
  logger: Logger,
  look: (pin: Pin, file: string) => string[],
): string[] {
  return [...filesIn(directories, logger)].flatMap((file) => {
    const pin = new Pin(directories, file, (message) => logger.warn(message))
    try {
      return look(pin, file)
    } catch (error) {
      if (isBug(error)) throw error
      logger.warn(`${pin.path} could not be looked through: ${messageOf(error)}`)
      return []
    }
  })
}

function filesIn(directories: readonly string[], logger: Logger): Set<string> {
  const files = directories.flatMap((directory) => {
    try {
      return readdirSync(directory)
    } catch (error) {
      // Made with the first pin.
      if (errnoOf(error) !== 'ENOENT') logger.warn(`no pins are found there: ${messageOf(error)}`)
      return []
    }
  })
  return new Set(files)
}

function sweepPin(pin: Pin, logger: Logger): void {
  const netns = OverlayNetns.open(pin)
  if (netns === null) {
    pin.remove()
    return
  }
  try {
    if (overlayIn(netns) === null) {
      logger.info(`namespace ${pin.path} has no overlay in it and is removed`)
      netns.clear()
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
