import type { Checker } from './checker.ts'

/** An overlay has the same subnets on all hosts, those included that it got while it ran. */
export const subnets: Checker = {
  name: 'subnets',
  check: (hosts) => {
    const lines: string[] = []
    const byOverlay = new Map<string, string>()
    for (const { name, process } of hosts)
      for (const { overlayId, pools } of process?.plugin?.network.networks() ?? []) {
        const here = pools.toSorted().join(' ')
        const there = byOverlay.get(overlayId) ?? here
        if (here !== there)
          lines.push(`${overlayId} has ${here} on ${name} and ${there} on another host`)
        byOverlay.set(overlayId, there)
      }
    return lines
  },
}
