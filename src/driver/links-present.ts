import { isBug, messageOf } from '../base/errors.ts'
import type { Network } from './network.ts'
import type { DriverParts, LinkLocation } from './ports.ts'

/**
 * Where the links of a network's endpoints are; null when that cannot be found out, which is logged with
 * what it was asked for.
 */
export async function linksPresent(
  parts: DriverParts,
  { overlayId }: Network,
  purpose: string,
): Promise<ReadonlyMap<string, LinkLocation> | null> {
  try {
    return await parts.dataplane.linkLocations(overlayId)
  } catch (error) {
    if (isBug(error)) throw error
    parts.logger.warn(`${purpose}: ${messageOf(error)}`)
    return null
  }
}
