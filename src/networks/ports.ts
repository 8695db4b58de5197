/** What this room needs of the engine, of the other members and of the rest of this host. */
import type { Cidr } from '../net/cidr.ts'
import type { NetworkClaim } from './claim.ts'

/** As the engine's API has them, with its names. */
interface EngineSpec {
  readonly Name: string
  readonly Driver: string
  readonly Internal: boolean
  readonly Attachable: boolean
  readonly EnableIPv4: boolean
  readonly EnableIPv6: boolean
  readonly Options: Record<string, string>
  readonly Labels: Record<string, string>
  readonly IPAM: {
    readonly Driver: string
    readonly Options: Record<string, string>
    readonly Config: {
      readonly Subnet: string
      readonly IPRange: string
      readonly Gateway: string
      readonly AuxiliaryAddresses: Record<string, string>
    }[]
  }
}

export interface EngineNetwork extends EngineSpec {
  readonly Id: string
  readonly Scope: string
  readonly Ingress: boolean
  readonly ConfigOnly: boolean
}

export interface EngineContainer {
  /** With slashes before them. */
  readonly Names: readonly string[]
  readonly State: string
  /** By network name; without an id until the container was started. */
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly NetworkID: string }>>
  }
}

interface Refusal {
  readonly status: number
  readonly message: string
}

export interface NetworksEngine {
  networks(): Promise<readonly EngineNetwork[]>
  /** Stopped ones too. */
  containers(): Promise<readonly EngineContainer[]>
  createNetwork(spec: EngineSpec): Promise<{ readonly id: string } | Refusal>
  removeNetwork(id: string): Promise<Refusal | null>
  listen(listener: {
    connected(): void
    event(event: {
      readonly Type: string
      readonly Action: string
      readonly Actor: { readonly ID: string }
    }): void
  }): void
}

export interface NetworksCluster {
  readonly self: string
  /** Whether the claims of the others are here, or there is nobody else. */
  isSynced(): boolean
  /** Those of all members, dead ones too. */
  claims(): Iterable<NetworkClaim>
  put(claim: NetworkClaim): void
  withdraw(name: string): void
  /** What live members use outside of the cluster, this one too. */
  prefixes(): Iterable<PrefixUser>
  putPrefix(prefix: Cidr): void
  withdrawPrefix(prefix: Cidr): void
  /** Live members, this one too. */
  liveMembers(): readonly string[]
  /** Live members other than this one with endpoints on an overlay. */
  usersOf(overlayId: string): readonly string[]
}

/** A member and a prefix that it uses outside of the cluster. */
export interface PrefixUser {
  readonly member: string
  readonly prefix: Cidr
}

/** A network as our driver has it. */
export interface DriverNetwork {
  readonly networkId: string
  readonly overlayId: string
  /** Whether our address management chose its subnets. */
  readonly isAutomatic: boolean
  /** Whether its addresses are from our address management. */
  readonly isOurIpam: boolean
  /** Its subnets and gateways where the engines' own IPAM gives the addresses; else null. */
  readonly engines: { readonly pools: readonly Cidr[]; readonly gateways: readonly string[] } | null
}

/** Claims this host's parts of pools and runs `create` with them; see `EnginePools` in driver. */
export type CopyNetwork = <T>(
  pools: readonly Cidr[],
  create: (ranges: readonly Cidr[]) => Promise<T>,
) => Promise<T>

export interface NetworksStore {
  entries<T>(table: string): [string, T][]
  write(changes: readonly { table: string; key: string; value: unknown }[]): Promise<void>
}
