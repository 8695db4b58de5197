import { isSystemError, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { type HostFilter, NoFilter } from './host-filter.ts'
import { TunnelFilter } from './tunnel-filter.ts'

/**
 * The filter, when it is wanted and the kernel has nf_tables; otherwise one that only remembers
 * what it is told, so that callers need not tell them apart.
 */
export function openHostFilter(
  open: () => NetlinkSocket,
  options: { readonly filter?: boolean; readonly logger: Logger; readonly gossipPort?: number },
): HostFilter {
  const { filter: wanted = true, logger, gossipPort } = options
  let socket: NetlinkSocket | null = null
  try {
    socket = open()
    const tunnels = new TunnelFilter(socket, gossipPort)
    tunnels.probe()
    if (wanted) return tunnels
    tunnels.remove()
    socket.close()
    return new NoFilter(true)
  } catch (error) {
    socket?.close()
    if (!isSystemError(error)) throw error
    if (wanted)
      logger.warn(
        `frames are not filtered, because this kernel has no nf_tables (${messageOf(error)}): any ` +
          'container can send as another one; load the module nf_tables, or say FILTER=off',
      )
    return new NoFilter(false)
  }
}
