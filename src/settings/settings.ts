import { refusal } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import { type Ip, ipBits } from '../net/ip.ts'
import { minMtuOfIpv6 } from '../net/mtu.ts'
import { whyReservedIp } from '../net/reserved.ts'
import { cidrsOverlap } from '../net/cidr.ts'
import { type Setting, settingsTable } from './table.ts'

type Table = typeof settingsTable
type ValueOf<S> = S extends Setting<infer T, infer D> ? (D extends null ? T | null : T) : never
type Raw = { readonly [K in keyof Table]: ValueOf<Table[K]> }

/**
 * The operator's settings, validated. Times in milliseconds; null where the plugin determines the
 * value.
 */
export interface Settings extends Omit<Raw, 'join' | 'bindAddress'> {
  /** Members to join, each with its gossip port. */
  readonly join: readonly { readonly host: string; readonly port: number }[]
  readonly bindAddress: Ip
}

/**
 * Reads the settings from environment variables; an empty one counts as absent. Throws BAD_SETTING
 * with one line for each that is wrong: its name, its value, what is wrong and a good example.
 */
export function parseSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const wrong: string[] = []
  const values: Record<string, unknown> = {}
  for (const [key, entry] of Object.entries<Setting<unknown, string | null>>(settingsTable)) {
    const text = (env[entry.name] ?? '').trim() || entry.preset
    const parsed = text === null ? { value: null } : entry.parse(text)
    if ('value' in parsed) values[key] = parsed.value
    else wrong.push(faultText(entry, text!, parsed.reason))
  }
  if (wrong.length > 0) throw badSettings(wrong)
  const raw = values as unknown as Raw
  const clashes = clashesOf(raw)
  if (clashes.length > 0) throw badSettings(clashes)
  return {
    ...raw,
    advertiseAddress: raw.advertiseAddress ?? oneAddress(raw.bindAddress),
    join: (raw.join ?? []).map(({ host, port }) => ({ host, port: port ?? raw.gossipPort })),
    bindAddress: raw.bindAddress ?? everyAddress(raw.advertiseAddress),
  }
}

/** What all hosts have to have alike, where it is not the default. */
const shared = ['gossipPort', 'vxlanPort', 'scope', 'pools', 'forgetAfterMs', 'voters'] as const

/** Those settings as they are in the environment, by their names. */
export function sharedSettings(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const given = shared.map((key) => {
    const { name, preset } = settingsTable[key]
    return [name, (env[name] ?? '').trim() || preset, preset] as const
  })
  return Object.fromEntries(
    given.filter(([, text, preset]) => text !== preset).map(([name, text]) => [name, text]),
  )
}

function faultText(entry: Setting<unknown, string | null>, text: string, reason: string): string {
  const shown = entry.secret ? '(not shown)' : printable(text)
  return `${entry.name}=${shown} ${printable(reason)}. Example: ${entry.name}=${entry.example}`
}

function badSettings(faults: readonly string[]): Error {
  const remedy = 'change it with: docker plugin set PLUGIN NAME=VALUE'
  return refusal('BAD_SETTING', [...faults, `Bad settings; ${remedy}`].join('\n'))
}

/** Contradictions between settings that are valid each. */
function clashesOf(raw: Raw): string[] {
  const clashes: string[] = []
  const { bindAddress, gossipPort, vxlanPort, wireguardPort, pools, underlayMtu } = raw
  const advertiseAddress = raw.advertiseAddress ?? oneAddress(bindAddress)
  const where = raw.advertiseAddress === null ? 'BIND_ADDR' : 'ADVERTISE_ADDR'
  const reserved = advertiseAddress === null ? null : whyReservedIp(advertiseAddress)
  // Listening at loopback only is how a host is run alone.
  const isAlone = advertiseAddress === bindAddress && reserved?.endsWith('loopback')
  if (reserved !== null && !isAlone)
    clashes.push(
      `${where}=${advertiseAddress} is where no other host reaches this one: ${reserved}`,
    )
  if (
    underlayMtu !== null &&
    underlayMtu < minMtuOfIpv6 &&
    advertiseAddress !== null &&
    ipBits(advertiseAddress) === 128
  )
    clashes.push(
      `MTU=${underlayMtu} is too little for ${where}=${advertiseAddress}: IPv6 needs ${minMtuOfIpv6}`,
    )
  const noData = raw.dataAddress === null ? null : whyReservedIp(raw.dataAddress)
  if (noData !== null)
    clashes.push(`DATA_ADDR=${raw.dataAddress!} is where no other host reaches this one: ${noData}`)
  const ports = { GOSSIP_PORT: gossipPort, VXLAN_PORT: vxlanPort, WIREGUARD_PORT: wireguardPort }
  for (const [i, [name, port]] of Object.entries(ports).entries())
    for (const [other] of Object.entries(ports).filter(([, p], j) => j > i && p === port))
      clashes.push(`${name} and ${other} are both ${port}; each needs a UDP port of its own`)
  // A socket at :: is reached by IPv4, too.
  if (
    advertiseAddress !== null &&
    bindAddress !== null &&
    bindAddress !== '::' &&
    ipBits(advertiseAddress) !== ipBits(bindAddress)
  )
    clashes.push(
      `ADVERTISE_ADDR=${advertiseAddress} and BIND_ADDR=${bindAddress} are of different families`,
    )
  for (const [i, a] of pools.entries())
    for (const b of pools.slice(i + 1))
      if (cidrsOverlap(a.cidr, b.cidr))
        clashes.push(`POOLS has ${a.cidr} and ${b.cidr}, which overlap; keep one of them`)
  return clashes
}

/** A host that listens at one address is reached there. */
function oneAddress(bound: Ip | null): Ip | null {
  return bound === '0.0.0.0' || bound === '::' ? null : bound
}

/** What to bind to for all addresses of the family that others use. */
function everyAddress(advertised: Ip | null): Ip {
  return (advertised !== null && ipBits(advertised) === 128 ? '::' : '0.0.0.0') as Ip
}
