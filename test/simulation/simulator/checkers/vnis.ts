import type { Checker } from './checker.ts'

/** An overlay has one VNI on all hosts, and no two overlays have the same. */
export const vnis: Checker = {
  name: 'VNIs',
  check: (hosts) => {
    const lines: string[] = []
    const byOverlay = new Map<string, string>()
    const byVni = new Map<string, string>()
    for (const { name, process } of hosts)
      for (const { overlayId, vni } of process?.plugin?.network.networks() ?? []) {
        const [agreed, overlay] = [byOverlay.get(overlayId), byVni.get(`${vni}`)]
        if (agreed !== undefined && agreed !== `${vni}`)
          lines.push(`${overlayId} has VNI ${vni} on ${name} and ${agreed} on another host`)
        if (overlay !== undefined && overlay !== overlayId)
          lines.push(`VNI ${vni} is that of ${overlayId} on ${name} and of ${overlay}`)
        byOverlay.set(overlayId, `${vni}`)
        byVni.set(`${vni}`, overlayId)
      }
    return lines
  },
}
