import type { PageContainer, PageView } from '../../../src/admin/page-view.ts'
import {
  byHost,
  colourOf,
  containerKey,
  containerName,
  hostKey,
  isBad,
  isDown,
  linesOf,
  stateText,
} from './model.ts'
import { type MapProps, pressable } from './pressable.ts'

const size = 1000
const labelRadius = 420
/** From the hosts' ring outwards to the first container, and from the last one to the names. */
const gap = 18
/** Containers are stacked within this, outwards. */
const maxStack = 140
/** With more hosts than this, names of the selected and the troubled only. */
const maxLabels = 110

/** How large things are, so that the fullest host's containers fit on its spoke. */
interface Sizes {
  /** Between the middles of two dots. */
  readonly step: number
  readonly perRow: number
  readonly rows: number
  readonly hostRadius: number
}

function sizesOf(hosts: number, most: number): Sizes {
  const inner = labelRadius - maxStack - gap
  for (let step = 18; ; step -= 0.25) {
    const perRow = Math.max(1, Math.floor(((2 * Math.PI * inner) / hosts - step / 2) / step))
    const rows = Math.min(Math.floor(maxStack / step), Math.ceil(most / perRow))
    const hostRadius = labelRadius - 2 * gap - rows * step
    if (perRow * rows >= most || step <= 3) return { step, perRow, rows, hostRadius }
  }
}

const angleOf = (index: number, count: number): number =>
  (2 * Math.PI * index) / count - Math.PI / 2
const at = (angle: number, radius: number) => ({
  x: size / 2 + radius * Math.cos(angle),
  y: size / 2 + radius * Math.sin(angle),
})

/** Hosts on a ring, their containers stacked outwards, paths as chords within. */
export function Ring({ view, selected, select }: MapProps) {
  const lists = byHost(view)
  const count = view.hosts.length
  const sizes = sizesOf(count, Math.max(1, ...lists.map(({ length }) => length)))
  return (
    <svg viewBox={`0 0 ${size} ${size}`}>
      <circle class="rim" cx={size / 2} cy={size / 2} r={sizes.hostRadius} />
      <Chords view={view} selected={selected} radius={sizes.hostRadius} />
      {view.hosts.map((host, index) => (
        <Spoke
          key={host.name}
          {...{ view, selected, select, index, sizes }}
          angle={angleOf(index, count)}
          containers={lists[index]!}
        />
      ))}
    </svg>
  )
}

/** The paths that are in trouble, and those of the selected host; else those of this host. */
function Chords({
  view,
  selected,
  radius,
}: Pick<MapProps, 'view' | 'selected'> & { readonly radius: number }) {
  const centre = view.hosts.findIndex((host) => hostKey(host) === selected)
  const of = centre < 0 ? view.here : centre
  const lines = linesOf(view).filter(({ a, b, state }) => isBad(state) || a === of || b === of)
  const sorted = lines.toSorted((x, y) => Number(isBad(x.state)) - Number(isBad(y.state)))
  return sorted.map(({ a, b, state }) => {
    const [from, to] = [a, b].map((index) => at(angleOf(index, view.hosts.length), radius))
    const names = `${view.hosts[a]!.name} – ${view.hosts[b]!.name}: ${stateText(state)}`
    return (
      <path
        key={`${a} ${b}`}
        class={isBad(state) ? 'chord bad' : 'chord'}
        d={`M${from!.x} ${from!.y} Q${size / 2} ${size / 2} ${to!.x} ${to!.y}`}
      >
        <title>{names}</title>
      </path>
    )
  })
}

interface SpokeProps extends MapProps {
  readonly index: number
  readonly angle: number
  readonly sizes: Sizes
  readonly containers: PageView['containers']
}

function Spoke({ view, selected, select, index, angle, sizes, containers }: SpokeProps) {
  const host = view.hosts[index]!
  const key = hostKey(host)
  const down = isDown(host)
  const node = at(angle, sizes.hostRadius)
  const label = at(angle, labelRadius)
  const isLeft = Math.cos(angle) < -1e-6
  const turn = (angle * 180) / Math.PI + (isLeft ? 180 : 0)
  const isNamed = view.hosts.length <= maxLabels || down || selected === key
  return (
    <g class={`spoke${down ? ' down' : ''}${selected === key ? ' selected' : ''}`}>
      <g {...pressable(`host ${host.name}, ${host.state}`, () => select(key))}>
        <circle class="node" cx={node.x} cy={node.y} r={view.hosts.length > 40 ? 6 : 10}>
          <title>{`${host.name} ${host.address}, ${host.state}`}</title>
        </circle>
        {isNamed && (
          <text
            transform={`translate(${label.x} ${label.y}) rotate(${turn})`}
            text-anchor={isLeft ? 'end' : 'start'}
            dy="4"
          >
            {down ? '✕ ' : ''}
            {index === view.here ? '★ ' : ''}
            {host.name.slice(0, 14)}
          </text>
        )}
      </g>
      {dots(containers, sizes, angle).map(({ container, x, y }) => {
        const own = containerKey(view, container)
        const { network } = container
        const netKey = network === null ? null : `network:${view.networks[network]!.id}`
        const faded = selected?.startsWith('network:') && selected !== netKey
        return (
          <circle
            key={own}
            class={`dot${selected === own ? ' selected' : ''}${faded ? ' faded' : ''}`}
            cx={x.toFixed(1)}
            cy={y.toFixed(1)}
            r={Math.max(1.6, sizes.step * 0.38)}
            style={{ fill: colourOf(network) }}
            onClick={() => select(own)}
          >
            <title>{containerName(container)}</title>
          </circle>
        )
      })}
    </g>
  )
}

/** Where a host's containers are drawn, as many as there is room for. */
function dots(
  containers: readonly PageContainer[],
  { step, perRow, rows, hostRadius }: Sizes,
  angle: number,
): { readonly container: PageContainer; readonly x: number; readonly y: number }[] {
  return containers.slice(0, perRow * rows).map((container, index) => {
    const row = Math.floor(index / perRow)
    const radius = hostRadius + gap + (row + 0.5) * step
    const inRow = Math.min(perRow, containers.length - row * perRow)
    const offset = ((index % perRow) - (inRow - 1) / 2) * step
    return { container, ...at(angle + offset / radius, radius) }
  })
}
