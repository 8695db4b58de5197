import { createHash } from 'node:crypto'
import { refusal } from '../../../base/errors.ts'
import { type Mac, macFromBytes } from '../../../net/mac.ts'

/**
 * Names and marks of our links. A name in the host's namespace is a prefix and a hash, because the
 * kernel takes 15 bytes and truncated ids would collide. A link is ours by its alias, which has the
 * whole id, and by its group, which it has from its creation, before the alias.
 */

/** Fixed names inside an overlay's own namespace. */
export const bridgeName = 'br0'
export const vxlanName = 'vxlan0'

/** The link group of all our links: "tso" in ASCII. `ip link show group 7631727` lists them. */
export const linkGroup = 0x74_736f

const aliasPrefix = 'ts-overlay:'
const endpointWord = ' endpoint:'
/**
 * With prefix, word and an endpoint id of 64 bytes this stays below the kernel's 256 (IFALIASZ).
 */
const maxOverlayIdBytes = 160
const maxEndpointIdBytes = 64

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The file that pins an overlay's namespace: the id may contain what a file name may not. */
export function pinName(overlayId: string): string {
  return hashOf(overlayId).slice(0, 32)
}

/** The file that pins the namespace of the WireGuard device, which is no overlay's. */
export const wireguardPinName = 'wireguard'

/** The form of the names of overlays' pins. */
export const pinNamePattern = /^[0-9a-f]{32}$/

/** The container's end of an endpoint's veth pair, in the host's namespace: 15 bytes. */
export function sourceNameOf(overlayId: string, endpointId: string): string {
  return `tso${hashOf(`${overlayId} ${endpointId}`).slice(0, 11)}h`
}

/** The bridge's end of an endpoint's veth pair, in the overlay's namespace: 15 bytes. */
export function portNameOf(overlayId: string, endpointId: string): string {
  return `tso${hashOf(`${overlayId} ${endpointId}`).slice(0, 11)}b`
}

/** The alias of an overlay's bridge and VXLAN device. */
export function aliasOf(overlayId: string): string {
  return aliasPrefix + overlayId
}

/** The alias of both ends of an endpoint's veth pair. */
export function endpointAliasOf(overlayId: string, endpointId: string): string {
  return aliasOf(overlayId) + endpointWord + endpointId
}

/**
 * The endpoint whose link has this alias; null when it is no alias of an endpoint of this overlay.
 */
export function endpointOfAlias(alias: string, overlayId: string): string | null {
  const prefix = endpointAliasOf(overlayId, '')
  return alias.startsWith(prefix) ? alias.slice(prefix.length) : null
}

/** The overlay whose link has this alias; null when it is not ours. Endpoint ids have no spaces. */
export function overlayOfAlias(alias: string): string | null {
  if (!alias.startsWith(aliasPrefix)) return null
  return alias.slice(aliasPrefix.length).replace(/ endpoint:[^ ]+$/, '')
}

/**
 * Whether a link is one of this overlay's, by its alias, or by its group while it has no alias yet.
 */
export function isMarked(link: { alias: string; group: number }, overlayId: string): boolean {
  if (link.alias === '') return link.group === linkGroup
  return link.alias === aliasOf(overlayId) || endpointOfAlias(link.alias, overlayId) !== null
}

/**
 * A MAC address for a device of ours: locally administered, and never one of an endpoint (02:…).
 */
export function deviceMac(text: string): Mac {
  const hash = createHash('sha256').update(text).digest()
  return macFromBytes(Uint8Array.of(0x06, ...hash.subarray(0, 5)))
}

/** Refuses an id that does not fit into a link's alias. */
export function checkOverlayId(overlayId: string): void {
  const bytes = Buffer.byteLength(overlayId)
  if (bytes === 0 || bytes > maxOverlayIdBytes || /\0|endpoint:/.test(overlayId))
    throw refusal(
      'BAD_REQUEST',
      `overlay id "${overlayId}": give one of 1 to ${maxOverlayIdBytes} bytes without "endpoint:"`,
    )
}

/** Refuses an id that does not fit into a link's alias. */
export function checkEndpointId(endpointId: string): void {
  const bytes = Buffer.byteLength(endpointId)
  if (bytes === 0 || bytes > maxEndpointIdBytes || /[\0 ]/.test(endpointId))
    throw refusal(
      'BAD_REQUEST',
      `endpoint id "${endpointId}": give one of 1 to ${maxEndpointIdBytes} bytes without spaces`,
    )
}
