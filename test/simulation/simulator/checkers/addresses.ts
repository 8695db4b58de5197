import { cidrContains } from '../../../../src/net/cidr.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import type { AddressObserver } from '../engine.ts'
import type { Host } from '../host.ts'
import { type Checker, differences } from './checker.ts'

/**
 * Writes down who has which address, from what the engines were answered, and knows nothing of how it came about. A
 * container has its address from the answer until its release is asked for, and outlives its host's plugin.
 */
export class AddressChecker implements Checker, AddressObserver {
  readonly name = 'addresses'
  readonly #holders = new Map<string, string>()
  readonly #onViolation: (what: string) => void
  readonly #note: (line: string) => void
  /** How often an address was given out. */
  given = 0

  constructor(onViolation: (what: string) => void, note: (line: string) => void) {
    this.#onViolation = onViolation
    this.#note = note
  }

  takes(host: string, subnet: string, ip: string): void {
    const key = `${subnet} ${ip}`
    const holder = this.#holders.get(key)
    this.#note(`${host} has ${key}`)
    if (holder !== undefined)
      this.#onViolation(`${key} is in use on ${holder} and given to ${host}`)
    this.#holders.set(key, host)
    this.given++
  }

  frees(host: string, subnet: string, ip: string): void {
    const key = `${subnet} ${ip}`
    this.#note(`${host} frees ${key}`)
    if (this.#holders.get(key) === host) this.#holders.delete(key)
  }

  /** All containers of a host are gone. */
  loses(host: string): void {
    this.#note(`the containers of ${host} are gone`)
    for (const [key, holder] of this.#holders) if (holder === host) this.#holders.delete(key)
  }

  /** Nothing leaked: each plugin has handed out exactly what its engine has, and no block has two owners. */
  check(hosts: readonly Host[]): string[] {
    return [...hosts.flatMap(leaksOf), ...blocksOfTwo(hosts)]
  }
}

function leaksOf({ name, engine, process }: Host): string[] {
  const ipam = process?.plugin?.ipam
  if (ipam === undefined) return []
  const subnetsOf = new Map(
    process!.plugin!.network.networks().map(({ networkId, pools }) => [networkId, pools]),
  )
  // The engine does not know of which subnet an address is, nor those that were added.
  const used = [...engine.networks.values()].flatMap(({ networkId, containers }) =>
    [...containers.values()].flatMap(({ addresses }) =>
      addresses.map(({ ip }) => {
        const subnet = subnetsOf.get(networkId)?.find((one) => cidrContains(one, ip as Ip))
        return `${subnet} ${ip}`
      }),
    ),
  )
  const added = process!.plugin!.network.networks()
  const leased = ipam.bindings
    .leases()
    .filter(({ kind }) => kind === 'container')
    .map(({ poolKey, ip }) => `${poolKey} ${ip}`)
  const held = ipam.bindings
    .heldPools()
    .map(({ poolKey, networkId }) => [poolKey, String(networkId)] as const)
  const networks = [...engine.networks.values()]
  const known = process!.plugin!.network.networks().map(({ networkId }) => networkId)
  const there = networks.map(({ networkId }) => networkId)
  return [
    ...differences(`networks at ${name}`, setMap(known), setMap(there)),
    ...differences(`leases at ${name}`, setMap(leased), setMap(used)),
    ...differences(
      `pools at ${name}`,
      new Map(held),
      new Map([
        ...networks.flatMap(({ pools, networkId }) =>
          pools.map(({ subnet }) => [subnet, networkId] as const),
        ),
        ...added.flatMap(({ added: subnets = [], networkId }) =>
          subnets.map((subnet) => [subnet as string, networkId] as const),
        ),
      ]),
    ),
  ]
}

function blocksOfTwo(hosts: readonly Host[]): string[] {
  const owners = new Map<string, string>()
  const lines: string[] = []
  for (const { name, process } of hosts)
    for (const { poolKey, blocks } of process?.plugin?.ipam.status().pools ?? [])
      for (const index of blocks.mine) {
        const block = `block ${index} of ${poolKey}`
        const other = owners.get(block)
        if (other !== undefined) lines.push(`${block} is owned by ${other} and ${name}`)
        owners.set(block, name)
      }
  return lines
}

const setMap = (keys: readonly string[]): Map<string, string> =>
  new Map(keys.map((key) => [key, 'there']))
