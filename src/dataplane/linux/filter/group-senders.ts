import type { SetSpec } from './nftables.ts'

/** Ports that are remembered; a bridge of the kernel has at most 1,023. */
const maxPorts = 1024
const idleMs = 60_000
/** Data type of `nft`: an interface name, of 16 bytes. */
const ifname = 41

/** How many frames to groups each port has sent of late, for a limit. */
export const groupSenders = {
  name: 'group-senders',
  keyBytes: 16,
  keyType: ifname,
  dynamic: { maxElements: maxPorts, timeoutMs: idleMs },
} as const satisfies SetSpec
