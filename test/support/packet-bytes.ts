export const be16 = (value: number): number[] => [value >> 8, value & 255]

export const bytes = (...parts: (readonly number[] | Uint8Array)[]): Buffer =>
  Buffer.concat(parts.map((part) => Uint8Array.from(part)))

/** RFC 1071. */
export function internetChecksum(data: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < data.length; at += 2) sum += (data[at]! << 8) | (data[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
