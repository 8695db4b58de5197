import type { Transition } from '../cluster/cluster.ts'
import { endpointRecord } from '../cluster/wire/endpoint-record.ts'
import type { Network } from '../driver/network-store.ts'
import { cidrBits, cidrContains, ipWithLength } from '../net/cidr.ts'
import { type Ip, ipBits } from '../net/ip.ts'
import { isUnicastMac } from '../net/mac.ts'
import { geometryOf } from '../net/pool-geometry.ts'
import { parsePoolKey } from '../net/pool-key.ts'
import { isHostIp } from '../net/reserved.ts'
import { type BlockRecord, type PoolRecord, blockRecord, poolRecord } from './records.ts'

/** A claim of another member that is ignored here. */
interface ClaimFault {
  readonly who: string
  readonly what: 'record' | 'vtep' | 'mac' | 'address' | 'pool' | 'block'
  readonly text: string
}

/**
 * The faults of a record that another member published, by mistake or in bad faith. The cluster
 * drops what it cannot read, and the data plane gives no rows to the rest; here they are only
 * reported. `networks` are this host's, and `vtep` is its address.
 */
export function claimFaults(
  { origin, address, next, invalid }: Transition,
  networks: readonly Network[],
  vtep: Ip,
): ClaimFault[] {
  const fault = (what: ClaimFault['what'], text: string): ClaimFault => {
    return { who: origin, what, text: `member ${origin} ${text}; ignored` }
  }
  if (invalid !== null) return [fault('record', `sent a bad record of kind "${invalid.kind}"`)]
  if (poolRecord.is(next) || blockRecord.is(next)) {
    const why = poolFault(next)
    return why === null ? [] : [fault(next.kind, why)]
  }
  if (!endpointRecord.is(next)) return []
  const { endpointId, ips, mac, vni } = next
  const faults: ClaimFault[] = []
  if (address === vtep)
    faults.push(
      fault('vtep', `claims the VTEP ${vtep}, which is this host's; change its ADVERTISE_ADDR`),
    )
  else if (!isHostIp(address))
    faults.push(fault('vtep', `claims the VTEP ${address}, where no host can be`))
  if (!isUnicastMac(mac))
    faults.push(
      fault('mac', `claims MAC address ${mac} for endpoint ${endpointId}, which no link can have`),
    )
  const network = networks.find((candidate) => candidate.vni === vni)
  for (const ip of ips) {
    const why = isHostIp(ip) ? placeFault(ip, network) : 'which no endpoint can have'
    if (why !== null)
      faults.push(fault('address', `claims ${ip} for endpoint ${endpointId}, ${why}`))
  }
  return faults
}

/** The fault of a pool or block that IPAM ignores; null when it has none. */
function poolFault(record: PoolRecord | BlockRecord): string | null {
  const { poolKey } = record
  const cidr = parsePoolKey(poolKey)?.cidr
  if (cidr === undefined) return `has a ${record.kind} of "${poolKey}", which is no pool`
  if (blockRecord.is(record)) {
    const { index } = record
    const most = geometryOf(cidr).blockCount - 1
    return index <= most ? null : `has block ${index} of pool ${poolKey}, whose last one is ${most}`
  }
  const { gateway, reserved } = record
  const outside = [gateway, ...reserved].find((ip) => ip !== null && !cidrContains(cidr, ip))
  return outside == null ? null : `sets ${outside} aside in pool ${poolKey}, where it is not`
}

function placeFault(ip: Ip, network: Network | undefined): string | null {
  if (network === undefined) return null
  const { overlayId, pools, gateways } = network
  if (pools.some((pool) => gateways.includes(ipWithLength(ip, pool))))
    return `which is the gateway of overlay "${overlayId}"`
  const family = pools.filter((pool) => cidrBits(pool) === ipBits(ip))
  if (family.length === 0 || family.some((pool) => cidrContains(pool, ip))) return null
  return `which is outside of overlay "${overlayId}" (${family.join(', ')})`
}
