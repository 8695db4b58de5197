/**
 * What the page is drawn from: `GET /view`, plain JSON without secrets. Hosts, networks and
 * containers refer to each other by their places in the lists, which are bounded: a cluster of a
 * thousand hosts is some hundred kilobytes.
 */
export interface PageView {
  readonly version: string
  /** The host that answers, by place. */
  readonly here: number
  readonly hosts: readonly PageHost[]
  readonly networks: readonly PageNetwork[]
  readonly containers: readonly PageContainer[]
  readonly paths: readonly PagePath[]
  /** What each host finds wrong. */
  readonly findings: readonly PageFinding[]
  /** What the lists above leave out, by their names. */
  readonly omitted: Readonly<Record<string, number>>
}

export interface PageHost {
  readonly name: string
  readonly address: string
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  /** Its plugin restarts and its containers go on. */
  readonly restarting: boolean
  /** When it came to be in this state, ISO 8601 in UTC. */
  readonly since: string
  /** The round trip by gossip from here, ms. */
  readonly rttMs: number | null
  /** Null when it has not answered for itself. */
  readonly version: string | null
}

export interface PageNetwork {
  /** The overlay's id. */
  readonly id: string
  readonly name: string | null
  readonly vni: number
  /** Bytes. */
  readonly mtu: number
  readonly encrypted: boolean
  readonly subnets: readonly string[]
  /** The hosts that take part. */
  readonly hosts: readonly number[]
}

export interface PageContainer {
  /** The beginning of the endpoint's id. */
  readonly id: string
  readonly host: number
  /** Null when its host has not published the network yet. */
  readonly network: number | null
  /** The container's name first; empty when it is not known. */
  readonly names: readonly string[]
  readonly ips: readonly string[]
  readonly mac: string
}

/** What probes from one host to another have shown. */
export interface PagePath {
  readonly from: number
  readonly to: number
  readonly state: string
  readonly rttMs: number | null
  /** Size of the packets that pass; null when only small ones do. */
  readonly bytes: number | null
}

export interface PageFinding {
  readonly host: number
  readonly code: string
  readonly subject: string
  readonly text: string
  readonly remedy: string
  /** ISO 8601 in UTC. */
  readonly since: string
}
