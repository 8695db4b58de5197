/** Between the engine's networks and claims. */
import { type Cidr, cidrIncludes, parseCidr, parseIpInCidr } from '../net/cidr.ts'
import {
  type NetworkClaim,
  type NetworkSpec,
  copiedLabels,
  copyLabel,
  generationText,
  isNetworkName,
  localLabel,
} from './claim.ts'
import type { DriverNetwork, EngineContainer, EngineNetwork } from './ports.ts'

/** Our driver on every host, whatever the plugin was called where it was installed. */
const driverName = 'ts-overlay'

/** What others need to create it; null when it is not ours or is to stay on this host. */
export function specOf(network: EngineNetwork, own: DriverNetwork | undefined): NetworkSpec | null {
  const { Labels, IPAM } = network
  const isPlain = network.Scope === 'local' && !network.Ingress && !network.ConfigOnly
  const engines = own?.engines ?? null
  if (own === undefined || !isPlain || !isNetworkName(network.Name)) return null
  if (!own.isOurIpam && engines === null) return null
  if (Labels[localLabel] === 'true') return null
  return {
    overlayId: own.overlayId,
    internal: network.Internal,
    attachable: network.Attachable,
    ipv4: network.EnableIPv4,
    ipv6: network.EnableIPv6,
    options: network.Options,
    labels: copiedLabels(Labels),
    ipamOptions: IPAM.Options,
    ...(engines !== null && { engineIpam: true }),
    pools: IPAM.Config.map(({ Subnet, IPRange, Gateway, AuxiliaryAddresses }) => {
      return {
        subnet: Subnet,
        // The range is each host's own there; the gateway is one, which not every engine tells.
        ipRange: engines === null ? IPRange : '',
        gateway: engines === null ? Gateway : gatewayIn(Subnet, engines.gateways),
        auxAddresses: AuxiliaryAddresses,
      }
    }),
  }
}

function gatewayIn(subnet: string, gateways: readonly string[]): string {
  const found = gateways.map(parseIpInCidr).find((gateway) => gateway?.cidr === subnet)
  return found?.ip ?? ''
}

/** The subnets of a network. */
export function subnetsOf({ pools }: NetworkSpec): Cidr[] {
  return pools.map(({ subnet }) => parseCidr(subnet)).filter((subnet) => subnet !== null)
}

/**
 * What the engine of another host is asked for: driver and IPAM are ours, not the claim's. With the
 * engine's own IPAM, `ranges` are what it may hand out.
 */
export function copyOf(
  { name, generation }: NetworkClaim,
  spec: NetworkSpec,
  ranges: readonly Cidr[] | null,
) {
  const rangeIn = (subnet: string): string =>
    ranges!.find((range) => cidrIncludes(subnet as Cidr, range)) ?? ''
  return {
    Name: name,
    Driver: driverName,
    Internal: spec.internal,
    Attachable: spec.attachable,
    EnableIPv4: spec.ipv4,
    EnableIPv6: spec.ipv6,
    Options: { ...spec.options },
    Labels: { ...copiedLabels(spec.labels), [copyLabel]: generationText(generation) },
    IPAM: {
      Driver: ranges === null ? driverName : 'default',
      Options: { ...spec.ipamOptions },
      Config: spec.pools.map(({ subnet, ipRange, gateway, auxAddresses }) => {
        const IPRange = ranges === null ? ipRange : rangeIn(subnet)
        const AuxiliaryAddresses = { ...auxAddresses }
        return { Subnet: subnet, IPRange, Gateway: gateway, AuxiliaryAddresses }
      }),
    },
  }
}

/** The containers that refer to a network: by its id once started, before that by its name. */
export function containersOf(
  network: Pick<EngineNetwork, 'Id' | 'Name'>,
  containers: readonly EngineContainer[],
): { readonly name: string; readonly isRunning: boolean }[] {
  return containers.flatMap(({ Names, State, NetworkSettings }) => {
    const refers = Object.entries(NetworkSettings.Networks).some(([name, { NetworkID }]) =>
      NetworkID === '' ? name === network.Name : NetworkID === network.Id,
    )
    const name = (Names[0] ?? '').replace(/^\//, '')
    return refers ? [{ name, isRunning: State === 'running' || State === 'paused' }] : []
  })
}
