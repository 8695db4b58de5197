import { parsePoolKey } from '../net/pool-key.ts'
import type { Transition } from '../cluster/cluster.ts'
import { endpointRecord } from '../cluster/wire/endpoint-record.ts'
import { isHostIp, isStationMac } from '../dataplane/credible.ts'
import type { Network } from '../driver/network.ts'
import { geometryOf } from '../net/pool-geometry.ts'
import { cidrBits, cidrContains, ipWithLength } from '../net/cidr.ts'
import { type Ip, ipBits } from '../net/ip.ts'
import { type BlockRecord, type PoolRecord, blockRecord, poolRecord } from './records.ts'

/** Something that another member says and that counts for nothing here. */
interface ClaimFault {
  readonly who: string
  readonly what: 'record' | 'vtep' | 'mac' | 'address' | 'pool' | 'block'
  readonly text: string
}

/**
 * What is wrong with a claim that came from another member: by a fault of its own, or because
 * somebody means harm. It is the cluster that drops what it cannot read, and the data plane that
 * gives no rows to the others; here it is only said. `networks` are this host's, and `vtep` is its
 * address.
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
    const why = oddPool(next)
    return why === null ? [] : [fault(next.kind, why)]
  }
  if (!endpointRecord.is(next)) return []
  const { endpointId, ips, mac, vni } = next
  const faults: ClaimFault[] = []
  if (address === vtep)
    faults.push(
      fault('vtep', `says it is at ${vtep}, which is this host; change its ADVERTISE_ADDR`),
    )
  else if (!isHostIp(address))
    faults.push(fault('vtep', `says it is at ${address}, where no host is`))
  if (!isStationMac(mac))
    faults.push(fault('mac', `says endpoint ${endpointId} has ${mac}, which no link can have`))
  const network = networks.find((candidate) => candidate.vni === vni)
  for (const ip of ips) {
    const why = isHostIp(ip) ? outOfPlace(ip, network) : 'which no endpoint can have'
    if (why !== null) faults.push(fault('address', `says endpoint ${endpointId} has ${ip}, ${why}`))
  }
  return faults
}

/** A pool or block that address management makes nothing of. */
function oddPool(record: PoolRecord | BlockRecord): string | null {
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

function outOfPlace(ip: Ip, network: Network | undefined): string | null {
  if (network === undefined) return null
  const { overlayId, pools, gateways } = network
  if (pools.some((pool) => gateways.includes(ipWithLength(ip, pool))))
    return `which is the gateway of overlay "${overlayId}"`
  const family = pools.filter((pool) => cidrBits(pool) === ipBits(ip))
  if (family.length === 0 || family.some((pool) => cidrContains(pool, ip))) return null
  return `which is outside of overlay "${overlayId}" (${family.join(', ')})`
}
