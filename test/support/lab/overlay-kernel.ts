/**
 * What the plugin has made in a host's kernel, as iproute2 shows it: the oracle of tests, and what
 * the demo draws.
 */
import path from 'node:path'
import type { Host } from './host.ts'

export interface LinkJson {
  readonly ifname: string
  readonly ifalias?: string
  readonly address: string
  readonly mtu: number
  readonly master?: string
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_data?: { readonly id?: number; readonly local?: string; readonly port?: number }
  }
}

/** An overlay's network namespace on a host. */
export interface OverlayKernel {
  readonly pin: string
  readonly links: readonly LinkJson[]
  /** FDB rows of the VXLAN device towards other hosts. */
  readonly fdb: readonly { readonly mac: string; readonly dst: string }[]
  readonly neighbours: readonly { readonly dst: string; readonly lladdr?: string }[]
}

export async function hostLinks(host: Host): Promise<LinkJson[]> {
  return linksOf(host, [])
}

/**
 * The files at which plugins have pinned network namespaces, one for each overlay in use on the
 * host. Each has two; the one in the engine's plugin directory is seen from the host in any case,
 * the other only until the engine clears it away.
 */
export async function overlayPins(host: Host): Promise<string[]> {
  const places =
    '/var/lib/docker/plugins/*/propagated-mount/netns /run/docker/plugins/ts-overlay.netns'
  const found = await host.exec(['sh', '-c', `find ${places} -type f`], { reject: false })
  const files = found.stdout.split('\n').filter(Boolean)
  return [...new Map(files.map((file) => [path.basename(file), file])).values()]
}

/** The overlay's namespace on the host: the one whose VXLAN device has that VNI. */
export async function overlayKernel(host: Host, vni: number): Promise<OverlayKernel | undefined> {
  for (const pin of await overlayPins(host)) {
    const inside = ['nsenter', `--net=${pin}`]
    const links = await linksOf(host, inside)
    const vxlan = links.find(({ linkinfo }) => linkinfo?.info_data?.id === vni)
    if (vxlan === undefined) continue
    const device = ['dev', vxlan.ifname]
    const fdb = await host.exec([...inside, 'bridge', '-json', 'fdb', 'show', ...device])
    const neighbours = await host.exec([...inside, 'ip', '-json', 'neigh', 'show', ...device])
    return {
      pin,
      links,
      fdb: rows<{ mac: string; dst?: string }>(fdb.stdout).filter(hasTarget),
      neighbours: rows(neighbours.stdout),
    }
  }
  return undefined
}

async function linksOf(host: Host, inside: readonly string[]): Promise<LinkJson[]> {
  const shown = await host.exec([...inside, 'ip', '-json', '-details', 'link'])
  return rows(shown.stdout)
}

function hasTarget(row: { mac: string; dst?: string }): row is { mac: string; dst: string } {
  return row.dst !== undefined
}

/** iproute2 writes nothing at all for an empty list. */
function rows<Row>(json: string): Row[] {
  return json === '' ? [] : (JSON.parse(json) as Row[])
}
