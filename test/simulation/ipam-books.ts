import type { Observer } from './ipam-observer.ts'
import type { IpamWorld } from './ipam-world.ts'

/** Throws unless each host has what its containers have, and owns the blocks that the voters gave it. */
export async function compareHoldings(world: IpamWorld, observer: Observer): Promise<void> {
  const owners = new Map<string, string>()
  for (const { name, ipam, life } of world.hosts.values()) {
    const status = ipam.status()
    if (status.conflicts.length > 0) {
      throw new Error(`${name} reports conflicts: ${JSON.stringify(status.conflicts)}`)
    }
    const agreed = await world.run(life!.agreement.holdings()(1000))
    for (const { poolKey, blocks } of status.pools) {
      const view = agreed.pools.find(({ pool }) => pool === poolKey)
      const granted = view?.blocks.map(([index]) => index).sort((a, b) => a - b) ?? []
      if (JSON.stringify(granted) !== JSON.stringify(blocks.mine)) {
        throw new Error(
          `${name} has blocks ${blocks.mine.join()} of ${poolKey} and was given ${granted.join()}`,
        )
      }
      for (const index of blocks.mine) {
        const block = `block ${index} of ${poolKey}`
        const other = owners.get(block)
        if (other !== undefined) throw new Error(`${block} is owned by ${other} and ${name}`)
        owners.set(block, name)
      }
    }
    const held = new Set(ipam.bindings.leases().map(({ poolKey, ip }) => `${poolKey} ${ip}`))
    for (const [poolKey, ip] of observer.heldBy(name)) {
      if (!held.has(`${poolKey} ${ip}`)) throw new Error(`${name} does not know ${poolKey} ${ip}`)
    }
  }
}
