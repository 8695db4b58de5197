/**
 * Which Docker Engine comes from which Debian release. Debian builds the engine from source, keeps
 * each version for years and needs no image registry, so a root file system made by `debootstrap`
 * is the shortest way to a stock engine.
 */

export type EngineVersion = '28.5' | '26.1' | '20.10'

export interface EngineSource {
  /** Debian release that carries this version of the engine. */
  readonly suite: string
  /** debootstrap script for releases that an older debootstrap does not know by name. */
  readonly script: string
  readonly packages: readonly string[]
}

/**
 * What a lab machine needs besides the engine: its init, the network tools, and what goes into the
 * container image.
 */
const toolPackages = [
  'busybox-static',
  'ca-certificates',
  'conntrack',
  'docker-registry',
  'docker.io',
  'iperf3',
  'iproute2',
  'iptables',
  'iputils-ping',
  'kmod',
  'nftables',
  'procps',
  'tcpdump',
  'tini',
]

/** Newer releases have the command line client in a package of its own. */
const withClient = [...toolPackages, 'docker-cli']

export const engineSources: Readonly<Record<EngineVersion, EngineSource>> = {
  // Compose 2.40, as a plugin of the client.
  '28.5': { suite: 'forky', script: 'sid', packages: [...withClient, 'docker-compose'] },
  '26.1': { suite: 'trixie', script: 'sid', packages: withClient },
  '20.10': { suite: 'bookworm', script: 'sid', packages: toolPackages },
}

export const engineVersions = Object.keys(engineSources) as EngineVersion[]

/** Reads an engine version from text such as the value of `ENGINE=`. */
export function parseEngineVersion(text: string): EngineVersion {
  const version = engineVersions.find((known) => known === text)
  if (version === undefined) {
    throw new Error(`engine ${text} is not in the lab; known are ${engineVersions.join(', ')}`)
  }
  return version
}
