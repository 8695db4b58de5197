import type { RoomFindings } from '../base/findings.ts'
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

const code = 'CLAIM_IGNORED'
/** A member that makes no more such claims has been repaired, or is gone, ms. */
const lastsMs = 3_600_000

/** For `/status`. */
export interface IgnoredClaims {
  /** Since the start. */
  readonly total: number
  /** By member and kind, those of the last hour. */
  readonly list: readonly {
    readonly who: string
    readonly what: string
    readonly count: number
    readonly last: { readonly at: string; readonly text: string }
  }[]
}

/** Invalid claims of other members, which are ignored here, as findings. */
export class ClaimFindings {
  readonly #findings: RoomFindings
  #total = 0

  constructor(findings: RoomFindings) {
    this.#findings = findings
  }

  /** Checks records that changed. `networks` are this host's, and `vtep` is its address. */
  check(batch: readonly Transition[], networks: readonly Network[], vtep: Ip): void {
    for (const transition of batch)
      for (const { who, what, text } of claimFaults(transition, networks, vtep))
        this.#raise(who, what, text, `look at the plugin of ${who}: its log and its version`)
  }

  /** Gossip found two hosts of one name; the claimant is kept out by all that know the other. */
  nameClash(name: string, known: string, claimant: string): void {
    const text = `hosts ${known} and ${claimant} both call themselves ${name}, and only one is let in`
    const remedy =
      "give one of the two another MEMBER_NAME or, if its disk is a copy of the other's, an empty state"
    this.#raise(name, 'name', text, remedy)
  }

  status(): IgnoredClaims {
    const list = this.#findings
      .list()
      .filter((finding) => finding.code === code)
      .map(({ details, times, lastAt, text, remedy }) => {
        const { member, what } = details as { member: string; what: string }
        return { who: member, what, count: times, last: { at: lastAt, text: `${text}; ${remedy}` } }
      })
    return { total: this.#total, list }
  }

  #raise(member: string, what: string, text: string, remedy: string): void {
    this.#total++
    const details = { member, what }
    this.#findings.raise(
      { code, subject: `member ${member}`, key: what, text, remedy, details },
      lastsMs,
    )
  }
}

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
function claimFaults(
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
