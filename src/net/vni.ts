/** A VXLAN network identifier: 24 bits (RFC 7348 section 5). */
export type Vni = number & { readonly vni: unique symbol }

/**
 * Lower values are not used, as in Docker's overlay driver: some switches and Windows reserve them.
 */
export const vniFirst = 4096
/** The largest 24-bit value. */
export const vniLast = 0xff_ffff

/** Reads a decimal VNI between 1 and 2^24 - 1; null for anything else. */
export function parseVni(text: string): Vni | null {
  if (!/^[1-9]\d{0,7}$/.test(text)) return null
  const value = Number(text)
  return value <= vniLast ? (value as Vni) : null
}

/** The first VNI that is not taken, from a place that `start` decides, 32 random bits. */
export function freeVni(start: number, taken: (vni: Vni) => boolean): Vni | null {
  const span = vniLast - vniFirst + 1
  for (let step = 0; step < span; step++) {
    const vni = (vniFirst + ((start + step) % span)) as Vni
    if (!taken(vni)) return vni
  }
  return null
}

/** The `start` with which the search for a free VNI begins at that one. */
export function searchFrom(vni: Vni): number {
  return Math.max(0, vni - vniFirst)
}
