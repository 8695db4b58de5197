import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Ip } from '../net/ip.ts'

interface OwnAddressParts {
  /** The address of the last start. */
  readonly saved: { load(): Ip | undefined; save(address: Ip): Promise<void> }
  readonly logger: Logger
  /** The operator's; null when there is none. */
  readonly setting: Ip | null
  /** The address of the default route's interface. Throws when there is none. */
  readonly routed: () => Promise<Ip>
  /** Throws when no interface of this host has the address. */
  readonly check: (address: Ip) => Promise<unknown>
}

/**
 * The address by which the others reach this host: the setting, else the default route's. It has to
 * be one of the host's own, or the plugin cannot be enabled. But when a host boots, the plugin may
 * come before the network, and an engine that cannot start its plugin disables it; so the address
 * of the last start is used when none can be found.
 */
export async function ownAddress(parts: OwnAddressParts): Promise<Ip> {
  const { saved, logger, setting, routed, check } = parts
  const kept = saved.load()
  try {
    const address = setting ?? (await routed())
    await check(address)
    if (address !== kept) await saved.save(address)
    return address
  } catch (error) {
    if (kept === undefined || (setting !== null && setting !== kept)) throw error
    logger.warn(`${messageOf(error)}; going on with ${kept}, which this host had before`)
    return kept
  }
}
