import { createHash } from 'node:crypto'

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

/**
 * The VNI of an overlay that was given none: a hash of its id into [4096, 2^24), the next free one
 * when the cluster already uses that. The same on every host that knows the same overlays.
 */
export function vniOfOverlay(overlayId: string, taken: (vni: Vni) => boolean): Vni | null {
  const span = vniLast - vniFirst + 1
  const hash = createHash('sha256').update(overlayId).digest().readUInt32BE()
  for (let step = 0; step < span; step++) {
    const vni = (vniFirst + ((hash + step) % span)) as Vni
    if (!taken(vni)) return vni
  }
  return null
}
