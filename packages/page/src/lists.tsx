import { useEffect, useRef, useState } from 'preact/hooks'
import type { PageView } from '../../../src/admin/page-view.ts'
import {
  type Kind,
  type Selection,
  ago,
  colourOf,
  containerKey,
  containerName,
  hostKey,
  isDown,
  networkKey,
  networkName,
} from './model.ts'

/** px; the style sheet has the same. */
const rowHeight = 44
/** Rows that are rendered above and below what can be seen. */
const margin = 4

interface Row {
  readonly key: Selection
  readonly title: string
  readonly note: string
  readonly colour: string | null
  readonly bad: boolean
}

const tabs: readonly { readonly kind: Kind; readonly title: string }[] = [
  { kind: 'host', title: 'Hosts' },
  { kind: 'network', title: 'Networks' },
  { kind: 'container', title: 'Containers' },
]

interface ListsProps {
  readonly view: PageView
  readonly selected: Selection
  readonly select: (selection: Selection) => void
}

/** All hosts, networks and containers, with a filter. */
export function Lists({ view, selected, select }: ListsProps) {
  const [kind, setKind] = useState<Kind>('host')
  const [filter, setFilter] = useState('')
  const all = rowsOf(view, kind)
  const wanted = filter.toLowerCase()
  const rows =
    wanted === ''
      ? all
      : all.filter(({ title, note }) => `${title} ${note}`.toLowerCase().includes(wanted))
  const counts = {
    host: view.hosts.length,
    network: view.networks.length,
    container: view.containers.length,
  }
  return (
    <section class="lists" aria-label="all hosts, networks and containers">
      <div role="tablist">
        {tabs.map((tab) => (
          <button
            key={tab.kind}
            role="tab"
            aria-selected={tab.kind === kind}
            onClick={() => setKind(tab.kind)}
          >
            {tab.title} <span class="count">{counts[tab.kind].toLocaleString('en')}</span>
          </button>
        ))}
      </div>
      <input
        type="search"
        placeholder="Filter by name or address"
        aria-label="Filter by name or address"
        value={filter}
        onInput={({ currentTarget }) => setFilter(currentTarget.value)}
      />
      <Rows key={`${kind} ${filter}`} rows={rows} selected={selected} select={select} />
    </section>
  )
}

function rowsOf(view: PageView, kind: Kind): Row[] {
  const { hosts, networks, containers } = view
  if (kind === 'host')
    return hosts.map((host) => {
      const bad = isDown(host)
      const note = bad ? `${host.address}, ${host.state} for ${ago(host.since)}` : host.address
      return { key: hostKey(host), title: host.name, note, colour: null, bad }
    })
  if (kind === 'network')
    return networks.map((network, place) => {
      const note = `${network.subnets.join(' ')}${network.encrypted ? ', encrypted' : ''}`
      const colour = colourOf(place)
      return { key: networkKey(network), title: networkName(network), note, colour, bad: false }
    })
  return containers.map((container) => {
    const host = hosts[container.host]
    const note = `${container.ips.join(' ')} on ${host?.name ?? '?'}`
    const bad = host !== undefined && isDown(host)
    const colour = colourOf(container.network)
    const key = containerKey(view, container)
    return { key, title: containerName(container), note, colour, bad }
  })
}

/** Rows of equal height, of which only those are rendered that can be seen. */
function Rows({ rows, selected, select }: Omit<ListsProps, 'view'> & { rows: readonly Row[] }) {
  const box = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState({ top: 0, height: 600 })
  const look = (): void => {
    if (box.current !== null)
      setSeen({ top: box.current.scrollTop, height: box.current.clientHeight })
  }
  useEffect(() => {
    const observer = new ResizeObserver(look)
    observer.observe(box.current!)
    return () => observer.disconnect()
  }, [])
  const first = Math.max(0, Math.floor(seen.top / rowHeight) - margin)
  const last = Math.ceil((seen.top + seen.height) / rowHeight) + margin
  return (
    <div class="rows" role="list" ref={box} onScroll={look} tabIndex={-1}>
      <div style={{ height: `${rows.length * rowHeight}px` }}>
        {rows.slice(first, last).map(({ key, title, note, colour, bad }, index) => (
          <div
            key={key}
            role="listitem"
            aria-setsize={rows.length}
            aria-posinset={first + index + 1}
            style={{ transform: `translateY(${(first + index) * rowHeight}px)` }}
          >
            <button
              class={bad ? 'bad' : ''}
              aria-pressed={key === selected}
              onClick={() => select(key)}
            >
              {colour !== null && <i style={{ background: colour }} />}
              <b>
                {bad ? '✕ ' : ''}
                {title}
              </b>
              <span>{note}</span>
            </button>
          </div>
        ))}
      </div>
      {rows.length === 0 && <p>Nothing here.</p>}
    </div>
  )
}
