/**
 * The capabilities that the plugin keeps, by their numbers in <linux/capability.h>. A managed
 * plugin starts with the fourteen of any container and those of config.json; the rest goes.
 */
export const neededCapabilities = {
  /** A listening port below 1024, which a setting may ask for. */
  NET_BIND_SERVICE: 10,
  /** rtnetlink, nf_tables, SO_RCVBUFFORCE. */
  NET_ADMIN: 12,
  /** unshare and setns of network namespaces, bind mounts that pin them. */
  SYS_ADMIN: 21,
} as const

/** The set of capabilities with these numbers. */
export function capabilitySet(numbers: Iterable<number>): bigint {
  let mask = 0n
  for (const number of numbers) mask |= 1n << BigInt(number)
  return mask
}

/** The numbers of the capabilities in a set. */
export function capabilitiesIn(mask: bigint): number[] {
  return Array.from({ length: 64 }, (_, number) => number).filter(
    (number) => ((mask >> BigInt(number)) & 1n) === 1n,
  )
}
