/** What the view means: colours, names, what is wrong, who belongs together. No state, no DOM. */
import type {
  PageContainer,
  PageHost,
  PageNetwork,
  PagePath,
  PageView,
} from '../../../src/admin/page-view.ts'

export type Kind = 'host' | 'network' | 'container'

/** What is selected, by names that stay when the lists change; null is nothing. */
export type Selection = `${Kind}:${string}` | null

/** A line of what is wrong; `target` is what it is about. */
export interface Trouble {
  readonly key: string
  readonly title: string
  readonly text: string
  readonly remedy: string
  readonly since: string
  readonly target: Selection
}

export const hostKey = ({ name }: PageHost): Selection => `host:${name}`
export const networkKey = ({ id }: PageNetwork): Selection => `network:${id}`
export const containerKey = (view: PageView, { host, id }: PageContainer): Selection =>
  `container:${id}@${view.hosts[host]?.name ?? '?'}`

export const networkName = ({ name, id }: PageNetwork): string => name ?? id
export const containerName = ({ names, id }: PageContainer): string => names[0] ?? id.slice(0, 12)

/** The colour of a network: unlike its neighbours', and never near red, which is for trouble. */
export function colourOf(network: number | null): string {
  if (network === null) return 'var(--faint)'
  const hue = 70 + ((network * 0.618 * 260) % 260)
  return `oklch(calc(var(--net-lightness) + ${(network % 3) * 0.07}) 0.14 ${Math.round(hue)})`
}

/** Whether a host is to be worried about. */
export const isDown = ({ state }: PageHost): boolean => state === 'dead' || state === 'suspect'

/** What is wrong, hosts that are down first. */
export function troublesOf(view: PageView): Trouble[] {
  const down = view.hosts.filter(isDown).map((host) => ({
    key: `down ${host.name}`,
    title: host.restarting ? `${host.name} restarts` : `${host.name} does not answer`,
    text: `${host.name} (${host.address}) is ${host.state}`,
    remedy: 'look at the host and at the network to it; evict it if it is gone for good',
    since: host.since,
    target: hostKey(host),
  }))
  const found = view.findings.map(({ host, code, subject, text, remedy, since }) => {
    const by = view.hosts[host]
    return {
      key: `${host} ${code} ${subject} ${text}`,
      title: `${code} on ${by?.name ?? '?'}`,
      text,
      remedy,
      since,
      target: targetOf(view, subject) ?? (by === undefined ? null : hostKey(by)),
    }
  })
  return [...down, ...found]
}

function targetOf(view: PageView, subject: string): Selection {
  const [, kind, name] = /^(member|overlay) (.*)$/s.exec(subject) ?? []
  if (kind === 'member')
    return view.hosts.some((host) => host.name === name) ? `host:${name!}` : null
  if (kind === 'overlay') return `network:${name!}`
  return null
}

/** A line between two hosts, with what is known in both directions. */
export interface Line {
  readonly a: number
  readonly b: number
  /** `up`, what is wrong, or `unknown`. */
  readonly state: string
  readonly label: string
}

const severity = ['blocked', 'one-way', 'mtu', 'loss', 'up']
const words: Readonly<Record<string, string>> = {
  blocked: 'VXLAN blocked',
  'one-way': 'one way only',
  mtu: 'small packets only',
  loss: 'loses packets',
}

export const isBad = (state: string): boolean => state in words
export const stateText = (state: string): string => words[state] ?? state

/** The lines between hosts that share a network or that probe each other; of two, the worse. */
export function linesOf({ hosts, networks, paths }: PageView): Line[] {
  const lines = new Map<string, Line>()
  const keyOf = (a: number, b: number): string => `${Math.min(a, b)} ${Math.max(a, b)}`
  for (const path of paths) {
    if (isDown(hosts[path.from]!) || isDown(hosts[path.to]!)) continue
    const key = keyOf(path.from, path.to)
    const known = lines.get(key)
    if (known === undefined || rank(path.state) < rank(known.state))
      lines.set(key, { a: path.from, b: path.to, state: path.state, label: labelOf(path) })
  }
  // Where there are many hosts, lines between all of them would only be a grey disc.
  if (hosts.length <= 12)
    for (const { hosts: sharing } of networks)
      for (const a of sharing)
        for (const b of sharing)
          if (
            a >= 0 &&
            a < b &&
            !lines.has(keyOf(a, b)) &&
            !isDown(hosts[a]!) &&
            !isDown(hosts[b]!)
          )
            lines.set(keyOf(a, b), { a, b, state: 'unknown', label: '' })
  return [...lines.values()]
}

function rank(state: string): number {
  const found = severity.indexOf(state)
  return found < 0 ? severity.length : found
}

function labelOf({ state, rttMs, bytes }: PagePath): string {
  if (isBad(state)) return stateText(state)
  const parts = [rttMs === null ? '' : `${rttMs.toFixed(1)} ms`, bytes === null ? '' : `${bytes} B`]
  return parts.filter((part) => part !== '').join(' · ')
}

/** The containers of each host. */
export function byHost({ hosts, containers }: PageView): PageContainer[][] {
  const lists: PageContainer[][] = hosts.map(() => [])
  for (const container of containers) lists[container.host]?.push(container)
  return lists
}

/** How long ago, for people: `12 s`, `3 min`, `5 h`, `2 d`. */
export function ago(since: string): string {
  const seconds = Math.max(0, (Date.now() - Date.parse(since)) / 1000)
  if (Number.isNaN(seconds)) return 'some time'
  const [size, unit]: [number, string] =
    seconds < 120
      ? [1, 's']
      : seconds < 7200
        ? [60, 'min']
        : seconds < 172_800
          ? [3600, 'h']
          : [86_400, 'd']
  return `${Math.round(seconds / size)} ${unit}`
}

export function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`
}
