import type { PageView } from '../../../src/admin/page-view.ts'
import {
  type Line,
  ago,
  byHost,
  colourOf,
  containerKey,
  containerName,
  hostKey,
  isBad,
  isDown,
  linesOf,
} from './model.ts'
import { type MapProps, pressable } from './pressable.ts'

const width = 1000
const height = 800
const card = { width: 200, head: 46, row: 24, maxRows: 6 }

interface Point {
  readonly x: number
  readonly y: number
}

/** Where the cards of a few hosts are: on an ellipse, the first at the top. */
function placeOf(index: number, count: number): Point {
  if (count === 1) return { x: width / 2, y: height / 2 }
  const lower = count === 3 ? 70 : 0
  const turn = count === 2 ? -Math.PI : -Math.PI / 2
  const angle = turn + (2 * Math.PI * index) / count
  return { x: width / 2 + 385 * Math.cos(angle), y: height / 2 + lower + 290 * Math.sin(angle) }
}

/** A card for each host with its containers on it, and lines between those that talk. */
export function Cards(props: MapProps) {
  const { view } = props
  const places = view.hosts.map((_, index) => placeOf(index, view.hosts.length))
  const lists = byHost(view)
  const lines = linesOf(view)
  return (
    <svg viewBox={`0 0 ${width} ${height}`}>
      {lines.map((line) => (
        <Wire key={`${line.a} ${line.b}`} line={line} from={places[line.a]!} to={places[line.b]!} />
      ))}
      {lines.map((line) => (
        <Label
          key={`${line.a} ${line.b}`}
          line={line}
          from={places[line.a]!}
          to={places[line.b]!}
        />
      ))}
      {places.map((place, index) => (
        <Card
          key={view.hosts[index]!.name}
          {...props}
          index={index}
          place={place}
          containers={lists[index]!}
        />
      ))}
    </svg>
  )
}

interface WireProps {
  readonly line: Line
  readonly from: Point
  readonly to: Point
}

function Wire({ line: { state }, from, to }: WireProps) {
  const kind = isBad(state) ? ' bad' : state === 'up' ? ' up' : ''
  return <line class={`wire${kind}`} x1={from.x} y1={from.y} x2={to.x} y2={to.y} />
}

/** What is known about a line, in its middle. */
function Label({ line: { state, label }, from, to }: WireProps) {
  if (label === '') return null
  const text = isBad(state) ? `✕ ${label}` : label
  const half = 8 + text.length * 3.6
  const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2]
  return (
    <g class={isBad(state) ? 'label bad' : 'label'}>
      <rect x={x - half} y={y - 13} width={2 * half} height="26" rx="13" />
      <text x={x} y={y + 4.5}>
        {text}
      </text>
    </g>
  )
}

interface CardProps extends MapProps {
  readonly index: number
  readonly place: Point
  readonly containers: PageView['containers']
}

function Card({ view, selected, select, index, place, containers }: CardProps) {
  const host = view.hosts[index]!
  const key = hostKey(host)
  const fits = containers.length <= card.maxRows
  const shown = containers.slice(0, fits ? card.maxRows : card.maxRows - 1)
  const rows = Math.max(1, fits ? shown.length : card.maxRows)
  const size = card.head + rows * card.row + 10
  const down = isDown(host)
  const state = down ? `${host.state} for ${ago(host.since)}` : host.address
  return (
    <g
      class={`card${down ? ' down' : ''}${selected === key ? ' selected' : ''}`}
      transform={`translate(${place.x - card.width / 2} ${place.y - size / 2})`}
    >
      <g {...pressable(`host ${host.name}, ${host.state}`, () => select(key))}>
        <rect class="body" width={card.width} height={size} rx="10" />
        <text class="title" x="14" y="21">
          {short(host.name, 22)}
          {index === view.here && <tspan class="mark"> ★</tspan>}
        </text>
        <text class="note state" x="14" y="37">
          {down ? `✕ ${state}` : state}
        </text>
      </g>
      {shown.map((container, row) => {
        const own = containerKey(view, container)
        const { network, ips } = container
        const netKey = network === null ? null : `network:${view.networks[network]!.id}`
        const faded = selected?.startsWith('network:') && selected !== netKey
        return (
          <g
            key={own}
            class={`pill${selected === own ? ' selected' : ''}${faded ? ' faded' : ''}`}
            transform={`translate(8 ${card.head + row * card.row})`}
            {...pressable(`container ${containerName(container)}`, () => select(own))}
          >
            <rect width={card.width - 16} height={card.row - 3} rx="5" />
            <circle cx="11" cy="10.5" r="5" style={{ fill: colourOf(network) }} />
            <text x="23" y="15">
              {short(containerName(container), 14)}
            </text>
            <text class="note" x={card.width - 24} y="15">
              {ips[0]}
            </text>
          </g>
        )
      })}
      {containers.length === 0 && (
        <text class="note" x="14" y={card.head + 14}>
          no containers
        </text>
      )}
      {!fits && (
        <text class="note" x="14" y={card.head + (rows - 1) * card.row + 15}>
          and {containers.length - shown.length} more
        </text>
      )}
    </g>
  )
}

function short(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
