/**
 * A network as members tell each other of it. The claim with the highest generation of a name holds
 * for all; generations are Lamport counters, so no clock decides.
 */

import * as v from 'valibot'
import { parseIpInCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'

const short = v.pipe(v.string(), v.maxLength(256))
const texts = v.record(short, v.pipe(v.string(), v.maxLength(2048)))
const ip = v.pipe(
  v.string(),
  v.check((text) => text === '' || parseIp(text) !== null),
)
const prefix = v.pipe(
  v.string(),
  v.check((text) => parseIpInCidr(text) !== null),
)

const pool = v.object({
  subnet: prefix,
  ipRange: v.union([v.literal(''), prefix]),
  gateway: ip,
  auxAddresses: v.record(short, ip),
})

/** All that the network's copy on another host is created from. */
const spec = v.object({
  overlayId: short,
  internal: v.boolean(),
  attachable: v.boolean(),
  ipv4: v.boolean(),
  ipv6: v.boolean(),
  options: texts,
  labels: texts,
  ipamOptions: texts,
  /** Whether the engines' own IPAM gives the addresses, each of its own part. */
  engineIpam: v.optional(v.boolean()),
  pools: v.pipe(v.array(pool), v.maxLength(8)),
})

/** The fields of a claim's record but the name, which is its key. */
export const claimFields = v.object({
  /** Orders the creations and removals of one name. */
  generation: v.object({
    /** One more than the highest that the member knew. */
    counter: v.pipe(v.number(), v.integer(), v.minValue(1)),
    /** Who created or removed it. */
    member: v.pipe(v.string(), v.regex(/^[\w.-]{1,64}$/)),
  }),
  /** Null when the network was removed. */
  spec: v.nullable(spec),
})

export type NetworkSpec = v.InferOutput<typeof spec>
export type Generation = v.InferOutput<typeof claimFields>['generation']
export interface NetworkClaim extends v.InferOutput<typeof claimFields> {
  readonly name: string
}

/** The engine's own rule for names, with its limit of ours. */
const namePattern = /^[a-zA-Z0-9][\w.-]{0,127}$/
/** Networks that every engine has. */
const predefined = ['bridge', 'host', 'none', 'default']

/** Whether a network of that name may be created on other hosts. */
export function isNetworkName(name: string): boolean {
  return namePattern.test(name) && !predefined.includes(name)
}

/**
 * Positive when `a` holds against `b`. Of two at once a network holds against a removal, since it
 * may be in use, and of two networks that of the member whose name comes first.
 */
export function compareClaims(
  a: Pick<NetworkClaim, 'generation' | 'spec'>,
  b: Pick<NetworkClaim, 'generation' | 'spec'>,
): number {
  const byCounter = a.generation.counter - b.generation.counter
  if (byCounter !== 0) return byCounter
  const [isNetwork, isOther] = [Number(a.spec !== null), Number(b.spec !== null)]
  if (isNetwork !== isOther) return isNetwork - isOther
  const [first, second] = [a.generation.member, b.generation.member]
  return first === second ? 0 : first < second ? 1 : -1
}

/** Of each name the claim that holds. */
export function effectiveClaims(claims: Iterable<NetworkClaim>): Map<string, NetworkClaim> {
  const effective = new Map<string, NetworkClaim>()
  for (const claim of claims) {
    const known = effective.get(claim.name)
    if (known === undefined || compareClaims(claim, known) > 0) effective.set(claim.name, claim)
  }
  return effective
}

/** The label of a copy: its generation, so that it is known as one after the state was lost. */
export const copyLabel = 'ts-overlay.network'
/** Keeps a network on the host where it was created. */
export const localLabel = 'ts-overlay.local'
/**
 * Compose removes a network with another hash than its file's, and takes one without any
 * ("no recorded hash is left untouched").
 */
const uncopiedLabels = [copyLabel, 'com.docker.compose.config-hash']

export function copiedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !uncopiedLabels.includes(key)))
}

export function generationText({ counter, member }: Generation): string {
  return `${counter} ${member}`
}

export function parseGeneration(text: string | undefined): Generation | null {
  const [, counter, member] = /^(\d{1,15}) (.{1,64})$/.exec(text ?? '') ?? []
  if (counter === undefined || member === undefined) return null
  return { counter: Number(counter), member }
}

/** Whether both are one overlay with one set of addresses: containers of both reach each other. */
export function isSameNetwork(a: NetworkSpec, b: NetworkSpec): boolean {
  const subnets = ({ pools }: NetworkSpec): string =>
    pools
      .map(({ subnet }) => subnet)
      .toSorted()
      .join(' ')
  return a.overlayId === b.overlayId && subnets(a) === subnets(b) && a.internal === b.internal
}
