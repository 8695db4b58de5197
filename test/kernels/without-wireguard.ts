import { execaSync } from 'execa'

/** Why there can be no encrypted network on this kernel; null when there can. Loads the module. */
export function withoutWireGuard(): string | null {
  const made = execaSync('unshare', ['--net', 'ip', 'link', 'add', 'w', 'type', 'wireguard'], {
    reject: false,
  })
  return made.failed ? 'this kernel has no WireGuard' : null
}
