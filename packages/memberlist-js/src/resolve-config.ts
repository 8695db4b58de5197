import { type Config, type ConfigInput, presets } from './config.ts'
import { MemberlistError } from './errors.ts'
import {
  LEAST_PACKET_BYTES,
  LONGEST_TIMER_MS,
  MAX_PACKET_BYTES,
  MAX_PUSH_PULL_MEMBERS,
} from './limits.ts'

const PRESET_NAMES = Object.keys(presets).join(', ')

/** What a option may be, and how to say so. */
interface Rule {
  readonly allows: (value: unknown) => boolean
  readonly wanted: string
}

/** With commas. `toLocaleString` would load the tables of all languages for it. */
const format = (value: number): string => String(value).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')

function whole(least: number, most = Number.MAX_SAFE_INTEGER): Rule {
  const allows = (value: unknown) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
  const upTo = most === Number.MAX_SAFE_INTEGER ? ' or more' : ` to ${format(most)}`
  return { allows, wanted: `a whole number, ${format(least)}${upTo}` }
}

function oneOf(...values: readonly unknown[]): Rule {
  const wanted = values.map((value) => JSON.stringify(value)).join(' or ')
  return { allows: (value) => values.includes(value), wanted }
}

/** What time stamps are compared with: it may be as long as one likes. */
const age: Rule = {
  allows: (value) => Number.isFinite(value) && (value as number) >= 0,
  wanted: 'a number of milliseconds',
}
/** A timer that is set for longer goes off at once in Node. */
const timeOrNever: Rule = {
  allows: (value) => age.allows(value) && (value as number) <= LONGEST_TIMER_MS,
  wanted: `${age.wanted} up to ${format(LONGEST_TIMER_MS)}, which is 24 days`,
}
const time: Rule = {
  allows: (value) => timeOrNever.allows(value) && value !== 0,
  wanted: `${timeOrNever.wanted}, and not 0`,
}
const flag = oneOf(true, false)

const rules: { readonly [K in keyof Config]: Rule } = {
  tcpTimeoutMs: time,
  indirectChecks: whole(0),
  retransmitMult: whole(1),
  suspicionMult: whole(1),
  suspicionMaxTimeoutMult: whole(1),
  pushPullIntervalMs: timeOrNever,
  probeTimeoutMs: time,
  probeIntervalMs: time,
  gossipIntervalMs: time,
  gossipNodes: whole(1),
  gossipToTheDeadMs: age,
  awarenessMaxMultiplier: whole(1),
  compression: oneOf('none', 'streams', 'all'),
  verifyIncoming: flag,
  verifyOutgoing: flag,
  encryptionVersion: oneOf(0, 1),
  packetBytes: whole(LEAST_PACKET_BYTES, MAX_PACKET_BYTES),
  tcpPings: flag,
  deadMemberReclaimMs: age,
  skipInboundLabelCheck: flag,
  reconnectIntervalMs: timeOrNever,
  reprobeIntervalMs: timeOrNever,
  reconnectTimeoutMs: age,
  maxMembers: whole(1, MAX_PUSH_PULL_MEMBERS),
}

/** Fills in the preset and checks the values. Throws `invalid-option`. */
export function resolveConfig(input: ConfigInput = 'lan'): Config {
  if (typeof input !== 'string' && (typeof input !== 'object' || input === null)) {
    throw invalid(
      `config cannot be ${show(input)}: give it ${PRESET_NAMES}, or an object of options`,
    )
  }
  const { preset = 'lan', ...changes } = typeof input === 'string' ? { preset: input } : input
  if (!Object.hasOwn(presets, preset)) {
    throw invalid(`there is no preset ${show(preset)}: choose ${PRESET_NAMES}`)
  }
  const given = Object.entries(changes).filter(([, value]) => value !== undefined)
  const config: Config = { ...presets[preset], ...Object.fromEntries(given) }
  assertValid(config)
  return config
}

/** Throws `invalid-option` for a configuration with which a list would not do what it says. */
function assertValid(config: Config): void {
  for (const [name, value] of Object.entries(config)) {
    if (!Object.hasOwn(rules, name)) throw unknownOption(name)
    const { allows, wanted } = rules[name as keyof Config]
    if (!allows(value)) throw invalid(`config.${name} cannot be ${show(value)}: give it ${wanted}`)
  }
  const { probeTimeoutMs, probeIntervalMs } = config
  if (probeTimeoutMs < probeIntervalMs) return
  throw invalid(
    `config.probeTimeoutMs (${probeTimeoutMs}) must be less than probeIntervalMs (${probeIntervalMs}):` +
      ' others are asked to probe in the time that is left; lower the one or raise the other',
  )
}

/** Throws `invalid-option` for a text that is shorter or longer. */
export function assertBytes(what: string, text: unknown, least: number, most: number): void {
  const wanted = `a string of ${least} to ${most} bytes`
  if (typeof text !== 'string') throw invalid(`the ${what} must be ${wanted}, not ${show(text)}`)
  const length = Buffer.byteLength(text)
  if (length >= least && length <= most) return
  throw invalid(`the ${what} must be ${wanted}, not of ${length}`)
}

/** Throws `invalid-option` for what is no range of versions with a version in it. */
export function assertVersions(versions: unknown): void {
  const numbers: readonly unknown[] = Array.isArray(versions) ? versions : []
  const bytes = numbers.every((each) => Number.isInteger(each) && each === (Number(each) & 255))
  const [min, max, current] = numbers as readonly number[]
  if (bytes && numbers.length === 3 && min! <= current! && current! <= max!) return
  const wanted =
    'three whole numbers, 0 to 255: the least, the greatest and, between them, your own'
  throw invalid(`delegateVersions cannot be ${String(versions)}: give ${wanted}`)
}

/** An `invalid-option` error. */
export function invalid(message: string): MemberlistError {
  return new MemberlistError('invalid-option', message)
}

/** A value of any kind, for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  const simple = value === null || ['number', 'boolean', 'undefined'].includes(typeof value)
  return simple ? String(value) : `a value of type ${typeof value}`
}

function unknownOption(name: string): MemberlistError {
  const known = Object.keys(rules)
  const meant = known.find((each) => each.toLowerCase() === name.toLowerCase())
  const remedy = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`
  return invalid(`config.${name} does not exist: ${remedy}`)
}
