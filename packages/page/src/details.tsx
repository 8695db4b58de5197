import type { ComponentChildren } from 'preact'
import type { PageView } from '../../../src/admin/page-view.ts'
import {
  type Selection,
  type Trouble,
  ago,
  colourOf,
  containerKey,
  containerName,
  counted,
  hostKey,
  networkKey,
  networkName,
  stateText,
} from './model.ts'

interface DetailsProps {
  readonly view: PageView
  readonly troubles: readonly Trouble[]
  readonly selected: Selection
  readonly select: (selection: Selection) => void
}

type Facts = readonly (readonly [name: string, value: ComponentChildren])[]
/** A button that leads to another thing. */
type Link = (key: Selection, text: string) => ComponentChildren

/** Links beyond this are in the list. */
const maxLinks = 30

/** What is known about what is selected. */
export function Details({ view, troubles, selected, select }: DetailsProps) {
  if (selected === null) return null
  const link: Link = (key, text) => (
    <button class="link" key={key} onClick={() => select(key)}>
      {text}
    </button>
  )
  const [title, facts] = hostFacts(view, selected, link) ??
    networkFacts(view, selected, link) ??
    containerFacts(view, selected, link) ?? [selected.replace(':', ' '), [['State', 'gone']]]
  const about = troubles.filter(({ target }) => target === selected)
  return (
    <section class="details" aria-label={`details of ${title}`}>
      <h2>
        {title}
        <button aria-label="close the details" onClick={() => select(null)}>
          ×
        </button>
      </h2>
      {about.map(({ key, text, remedy }) => (
        <p key={key} class="bad">
          <b>{text}</b> {remedy}
        </p>
      ))}
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

type Found = readonly [title: string, facts: Facts] | undefined

function hostFacts(view: PageView, selected: Selection, link: Link): Found {
  const place = view.hosts.findIndex((host) => hostKey(host) === selected)
  const host = view.hosts[place]
  if (host === undefined) return undefined
  const own = view.containers.filter((container) => container.host === place)
  const networks = view.networks.filter(({ hosts }) => hosts.includes(place))
  const path = view.paths.find(({ from, to }) => from === view.here && to === place)
  const isHere = place === view.here
  return [
    host.name,
    [
      [
        'State',
        `${host.restarting ? 'plugin restarts, ' : ''}${host.state} for ${ago(host.since)}`,
      ],
      ['Address', host.address],
      ['Version', host.version ?? 'not known'],
      ['Gossip', isHere ? 'this host' : millis(host.rttMs)],
      ['VXLAN', isHere ? '' : path === undefined ? 'no network in common' : pathText(path)],
      ['Networks', networks.map((network) => link(networkKey(network), networkName(network)))],
      [counted(own.length, 'container'), containerLinks(view, own, link)],
    ],
  ]
}

function networkFacts(view: PageView, selected: Selection, link: Link): Found {
  const place = view.networks.findIndex((network) => networkKey(network) === selected)
  const network = view.networks[place]
  if (network === undefined) return undefined
  const own = view.containers.filter((container) => container.network === place)
  const hosts = network.hosts.flatMap((index) => view.hosts[index] ?? [])
  return [
    networkName(network),
    [
      ['Subnets', network.subnets.join(' ')],
      ['VNI', network.vni],
      ['MTU', `${network.mtu} bytes`],
      ['Encrypted', network.encrypted ? 'yes, by WireGuard' : 'no'],
      ['Overlay', network.id],
      ['Colour', <i class="swatch" style={{ background: colourOf(place) }} />],
      [
        counted(hosts.length, 'host'),
        hosts.slice(0, maxLinks).map((h) => link(hostKey(h), h.name)),
      ],
      [counted(own.length, 'container'), containerLinks(view, own, link)],
    ],
  ]
}

function containerFacts(view: PageView, selected: Selection, link: Link): Found {
  const container = view.containers.find((other) => containerKey(view, other) === selected)
  if (container === undefined) return undefined
  const host = view.hosts[container.host]
  const network = container.network === null ? undefined : view.networks[container.network]
  return [
    containerName(container),
    [
      ['Names', container.names.join(', ') || 'not known'],
      ['Addresses', container.ips.join(', ')],
      ['MAC', container.mac],
      ['Endpoint', container.id],
      ['Host', host === undefined ? 'not known' : link(hostKey(host), host.name)],
      [
        'Network',
        network === undefined ? 'not known' : link(networkKey(network), networkName(network)),
      ],
    ],
  ]
}

function containerLinks(view: PageView, own: PageView['containers'], link: Link) {
  return [
    ...own.slice(0, maxLinks).map((c) => link(containerKey(view, c), containerName(c))),
    own.length > maxLinks ? ` and ${own.length - maxLinks} more` : null,
  ]
}

function pathText({ state, rttMs, bytes }: PageView['paths'][number]): string {
  return `${stateText(state)}, ${millis(rttMs)}${bytes === null ? '' : `, ${bytes} bytes`}`
}

function millis(ms: number | null): string {
  return ms === null ? 'not measured' : `${ms.toFixed(1)} ms`
}
