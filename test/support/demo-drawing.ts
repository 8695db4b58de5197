/**
 * Draws two or more hosts and an overlay across them with box characters. Pure: a picture of plain
 * values.
 */

export interface DrawnHost {
  readonly name: string
  readonly engine: string
  readonly vtep: string
  readonly containers: readonly {
    readonly name: string
    readonly address: string
    readonly mac: string
    readonly mtu: number
    /** The bridge's end of the veth pair. */
    readonly port: string
  }[]
  readonly bridge: string
  readonly vxlan: { readonly name: string; readonly vni: number; readonly port: number }
  /** What the VXLAN device knows of other hosts' endpoints. */
  readonly rows: readonly {
    readonly address: string
    readonly mac: string
    readonly vtep: string
  }[]
}

export interface DrawnOverlay {
  readonly id: string
  readonly underlay: string
}

/** Room between two hosts. */
const gap = '   '

export function drawOverlay(overlay: DrawnOverlay, hosts: readonly DrawnHost[]): string {
  const contents = hosts.map((host) => hostLines(host, overlay))
  const height = Math.max(...contents.map((lines) => lines.length))
  const boxes = contents.map((lines) =>
    box([...lines.slice(0, -1), ...blanks(height - lines.length), lines.at(-1)!]),
  )
  const rows = boxes[0]!.map((_, row) => boxes.map((lines) => lines[row]).join(gap))
  return [...rows, ...cable(boxes, overlay.underlay)].join('\n')
}

function hostLines(host: DrawnHost, overlay: DrawnOverlay): string[] {
  const containers = host.containers.flatMap(({ name, address, mac, mtu, port }) => [
    ...box([`${name}  ${address}`, `${mac}  MTU ${mtu}`]),
    `  │ ${port}`,
  ])
  const rows = host.rows.flatMap(({ address, mac, vtep }) => [
    `  ${address} is at ${mac}`,
    `  ${mac} → ${vtep}`,
  ])
  const { name, vni, port } = host.vxlan
  return [
    `${host.name}  Docker ${host.engine}`,
    ...containers,
    ...box([
      `overlay ${overlay.id}`,
      `bridge ${host.bridge}`,
      `${name}  VNI ${vni}  UDP ${port}`,
      ...rows,
    ]),
    `  │ VTEP ${host.vtep}`,
  ]
}

function box(lines: readonly string[]): string[] {
  const width = Math.max(...lines.map((line) => line.length))
  return [
    `┌─${'─'.repeat(width)}─┐`,
    ...lines.map((line) => `│ ${line.padEnd(width)} │`),
    `└─${'─'.repeat(width)}─┘`,
  ]
}

/** The line below the hosts that joins the third column of each. */
function cable(boxes: readonly (readonly string[])[], label: string): string[] {
  const widths = boxes.map((lines) => lines[0]!.length)
  const total = widths.reduce((sum, width) => sum + width + gap.length, -gap.length)
  const columns = widths.map((_, index) => columnOf(widths, index))
  const upright = Array.from({ length: total }, (_, column) =>
    columns.includes(column) ? '│' : ' ',
  )
  const first = columns[0]!
  const last = columns.at(-1)!
  const middle = ` ${label} `
    .padStart((last - first + label.length) >> 1, '─')
    .padEnd(last - first - 1, '─')
  const across = Array.from(`${' '.repeat(first)}└${middle}┘`)
  for (const column of columns.slice(1, -1)) across[column] = '┴'
  return [upright.join('').trimEnd(), across.join('')]
}

/** Where a host's cable leaves its box. */
function columnOf(widths: readonly number[], index: number): number {
  const before = widths.slice(0, index).reduce((sum, width) => sum + width + gap.length, 0)
  return before + 4
}

function blanks(count: number): string[] {
  return Array.from({ length: count }, () => '')
}
