import type { Observer } from './ipam-observer.ts'
import type { IpamWorld } from './ipam-world.ts'

/** Throws unless what each host believes to have is what its containers have, and more only where an answer was lost. */
export function compareBooks(world: IpamWorld, observer: Observer): void {
  const owners = new Map<string, string>()
  for (const { name, ipam } of world.hosts.values()) {
    const status = ipam.status()
    if (status.conflicts.length > 0) {
      throw new Error(`${name} reports conflicts: ${JSON.stringify(status.conflicts)}`)
    }
    for (const { poolKey, blocks } of status.pools) {
      for (const index of blocks.mine) {
        const block = `block ${index} of ${poolKey}`
        const other = owners.get(block)
        if (other !== undefined) throw new Error(`${block} is owned by ${other} and ${name}`)
        owners.set(block, name)
      }
    }
    const held = new Set(ipam.leases().map(({ poolKey, ip }) => `${poolKey} ${ip}`))
    for (const [poolKey, ip] of observer.heldBy(name)) {
      if (!held.has(`${poolKey} ${ip}`)) throw new Error(`${name} does not know ${poolKey} ${ip}`)
    }
  }
}
