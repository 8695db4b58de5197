/**
 * What one host does so that a network is on every host or on none: a pure function of the claims
 * of all members, the engine's networks, and who uses them. At rest it gives nothing.
 *
 * Invariants: no network that a container refers to is deleted; nothing that a user made is
 * touched, but a network with an automatic subnet that lost to another of its name.
 */
import {
  type Generation,
  type NetworkClaim,
  type NetworkSpec,
  compareClaims,
  isSameNetwork,
} from './claim.ts'
import type { PrefixUser } from './ports.ts'
import type { Removal } from './removals.ts'

/** A network of this host's engine. */
export interface OwnNetwork {
  readonly id: string
  readonly name: string
  /** Null when it is not of our driver, or stays on this host by its label. */
  readonly spec: NetworkSpec | null
  /** Of a copy and of what was published or adopted here; null for a network that is new. */
  readonly generation: Generation | null
  readonly isCopy: boolean
  /** Whether its subnets were chosen for the user. */
  readonly isAutomatic: boolean
  /** Containers that refer to it, stopped ones too. */
  readonly containers: readonly { readonly name: string; readonly isRunning: boolean }[]
}

interface PlanInput {
  readonly self: string
  /** The claim that holds, of each name. */
  readonly claims: ReadonlyMap<string, NetworkClaim>
  readonly networks: readonly OwnNetwork[]
  /** Networks that went without our doing, by name. */
  readonly destroyed: ReadonlyMap<string, Removal>
  /** Live members with endpoints on an overlay; this one when a container refers to the name. */
  readonly users: (name: string, overlayId: string) => readonly string[]
  /** Live members that use a part of a network's subnets outside of the cluster. */
  readonly prefixUsers: (spec: NetworkSpec) => readonly PrefixUser[]
  /** Whether this member publishes again what members that left had published. */
  readonly isCaretaker: boolean
}

export type Action =
  | { readonly kind: 'publish'; readonly claim: NetworkClaim; readonly networkId: string | null }
  /** The network of this host is the claimed one. */
  | { readonly kind: 'adopt'; readonly claim: NetworkClaim; readonly networkId: string }
  /** `users` when it was removed here and is in use. */
  | { readonly kind: 'create'; readonly claim: NetworkClaim; readonly users: readonly string[] }
  | { readonly kind: 'delete'; readonly name: string; readonly networkId: string }
  | { readonly kind: 'finding'; readonly finding: NetworkFinding }

interface NetworkFinding {
  readonly code: 'NETWORK_CLASH' | 'NETWORK_KEPT'
  readonly name: string
  readonly key?: string
  readonly text: string
  readonly remedy: string
}

/** Other members may not fill this host's engine with networks: no more than this are created. */
const maxNetworks = 1024
const otherSubnet = 'one of this host has its name and another subnet or overlay'

export function planNetworks(input: PlanInput): Action[] {
  const byName = Map.groupBy(input.networks, ({ name }) => name)
  const names = new Set([...input.claims.keys(), ...byName.keys()])
  let free = maxNetworks - input.networks.filter(({ spec }) => spec !== null).length
  return [...names].flatMap((name) => {
    const all = byName.get(name) ?? []
    const ours = all.filter(({ spec }) => spec !== null)
    const surplus = surplusOf(ours)
    const [network] = ours.filter((one) => !surplus.includes(one))
    const claim = input.claims.get(name)
    const deletions = surplus.map(({ id }): Action => ({ kind: 'delete', name, networkId: id }))
    if (network !== undefined) return [...deletions, ...planPresent(input, network, claim)]
    const actions = planAbsent(input, name, claim, all)
    if (!actions.some(({ kind }) => kind === 'create') || free-- > 0) return actions
    return [clash(name, `it has ${maxNetworks} networks of the cluster`)]
  })
}

/**
 * Engines before API 1.44 create two networks of one name when asked at the same moment; then no
 * container starts on either. Ours goes.
 */
function surplusOf(ours: readonly OwnNetwork[]): OwnNetwork[] {
  if (ours.length < 2) return []
  const unused = ours.filter(({ isCopy, containers }) => isCopy && containers.length === 0)
  return unused.slice(0, ours.length - 1)
}

function planAbsent(
  { self, destroyed, users, prefixUsers }: PlanInput,
  name: string,
  claim: NetworkClaim | undefined,
  others: readonly OwnNetwork[],
): Action[] {
  const how = destroyed.get(name)
  if (claim?.spec == null || how === 'recent') return []
  if (others.length > 0) return [clash(name, 'another network of this host has its name')]
  const usedBy = how === 'removed' ? users(name, claim.spec.overlayId) : []
  if (how === 'removed' && usedBy.length === 0) {
    const removal = { name, generation: next(claim, self), spec: null }
    return [{ kind: 'publish', claim: removal, networkId: null }]
  }
  const here = prefixUsers(claim.spec).find(({ member }) => member === self)
  if (here !== undefined) return [prefixInUse(name, 'this host', here)]
  return [{ kind: 'create', claim, users: usedBy }]
}

function planPresent(
  input: PlanInput,
  network: OwnNetwork,
  claim: NetworkClaim | undefined,
): Action[] {
  const { id, name, generation, containers } = network
  const spec = network.spec!
  const publish = (by: Generation): Action[] => [
    { kind: 'publish', claim: { name, generation: by, spec }, networkId: id },
  ]
  if (generation === null) return planNew(input, network, claim, publish)
  const mine = { name, generation, spec }
  if (claim === undefined || compareClaims(mine, claim) > 0)
    return input.isCaretaker || generation.member === input.self ? publish(generation) : []
  if (claim.spec !== null && isSameNetwork(spec, claim.spec)) return withoutCopy(input, claim)
  // Two were created at once, and this one is as its user asked.
  const isWished = !network.isCopy && !network.isAutomatic
  if (claim.spec !== null && isWished && claim.generation.counter === generation.counter)
    return [clash(name, otherSubnet)]
  if (claim.spec === null && containers.some(({ isRunning }) => isRunning))
    return publish(next(claim, input.self))
  if (containers.length === 0) return [{ kind: 'delete', name, networkId: id }]
  const list = containers.map((container) => container.name).join(', ')
  const text =
    claim.spec === null
      ? `network "${name}" was removed on ${claim.generation.member} and is kept here`
      : `network "${name}" of ${claim.generation.member} has another subnet or overlay than the one here`
  const remedy = `remove these containers of this host: ${list}`
  return [{ kind: 'finding', finding: { code: 'NETWORK_KEPT', name, text, remedy } }]
}

/** On the host where it was created: the members that cannot have it. */
function withoutCopy({ self, prefixUsers }: PlanInput, { name, generation, spec }: NetworkClaim) {
  if (generation.member !== self) return []
  const others = Map.groupBy(prefixUsers(spec!), ({ member }) => member)
  others.delete(self)
  return Array.from(others.values(), ([user]) => prefixInUse(name, user!.member, user!))
}

function prefixInUse(name: string, where: string, { prefix }: PrefixUser): Action {
  const text = `network "${name}" of the cluster is not on ${where}, which uses ${prefix} outside of it`
  const remedy =
    'create it again with another --subnet, or with --ipam-driver ts-overlay, which chooses one that is free'
  return { kind: 'finding', finding: { code: 'NETWORK_CLASH', name, key: where, text, remedy } }
}

/** A network that a user created on this host a moment ago. */
function planNew(
  { self, destroyed, users }: PlanInput,
  { id, name, spec, isAutomatic, containers }: OwnNetwork,
  claim: NetworkClaim | undefined,
  publish: (by: Generation) => Action[],
): Action[] {
  if (claim?.spec == null) return publish(next(claim, self))
  const isSame = isSameNetwork(spec!, claim.spec)
  if (isSame && !destroyed.has(name)) return [{ kind: 'adopt', claim, networkId: id }]
  // Removed and created again: a new claim, for other hosts may have removed it at the same time.
  const isReplaced =
    isSame || (destroyed.has(name) && users(name, claim.spec.overlayId).length === 0)
  if (isReplaced) return publish(next(claim, self))
  if (isAutomatic && containers.length === 0) return [{ kind: 'delete', name, networkId: id }]
  return [clash(name, otherSubnet)]
}

function next(claim: NetworkClaim | undefined, self: string): Generation {
  return { counter: (claim?.generation.counter ?? 0) + 1, member: self }
}

function clash(name: string, why: string): Action {
  const text = `network "${name}" of the cluster is not on this host: ${why}`
  const remedy = `remove the network "${name}" of this host, or give one of the two another name`
  return { kind: 'finding', finding: { code: 'NETWORK_CLASH', name, text, remedy } }
}

/**
 * The networks that are as their claims say, by id with the claim's generation: what happens to
 * them happens to the claim.
 */
export function* agreedOf(
  networks: readonly OwnNetwork[],
  claims: ReadonlyMap<string, NetworkClaim>,
  actions: readonly Action[],
): Generator<[id: string, generation: Generation]> {
  for (const { id, name, spec } of networks) {
    const claim = claims.get(name)
    if (spec !== null && claim?.spec != null && isSameNetwork(spec, claim.spec))
      yield [id, claim.generation]
  }
  for (const action of actions)
    if (action.kind === 'publish' && action.networkId !== null)
      yield [action.networkId, action.claim.generation]
}
