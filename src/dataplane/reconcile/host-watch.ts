import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { Every } from '../../base/timers.ts'
import type { Dataplane } from '../dataplane.ts'

/** Without the host's filter any machine gets frames into overlays: it is missed for no longer. */
const intervalMs = 1000

/**
 * Looks every second whether the host's filter is as it was made, which takes some 0.2 ms: `nft
 * flush ruleset` is a habit of firewalls. Where it is not, `repair` is called.
 */
export function hostWatch(parts: {
  readonly clock: Clock
  readonly logger: Logger
  readonly dataplane: Pick<Dataplane, 'ensureHost'>
  readonly repair: () => Promise<unknown>
}): Every {
  const { clock, logger, dataplane, repair } = parts
  const warn = (text: string): void => logger.warn(text)
  let isFirst = true
  const run = async (): Promise<void> => {
    const changed = await dataplane.ensureHost()
    if (changed.length > 0 && !isFirst) {
      logger.warn(`the host's filter had drifted: ${changed.join(', ')}`, {
        event: 'drift-repaired',
      })
      await repair()
    }
    isFirst = false
  }
  return new Every({ clock, intervalMs, run, warn })
}
