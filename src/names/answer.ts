import { type Random, shuffled } from '../base/random.ts'
import { type IpBits, ipBits } from '../net/ip.ts'
import { type DnsTransport, readQuery, reversedIp, writeAnswer } from './dns-message.ts'
import type { NameTable } from './name-table.ts'

/** The family of the addresses that a type of question asks for. */
const familyOfType: Readonly<Record<string, IpBits>> = { A: 32, AAAA: 128 }

/**
 * The answer to a query from a sandbox; null when the engine's own resolver is to answer it. A name
 * that we know has an answer for every type, or a client would take what the engine says of it for
 * the truth: addresses in random order for A and AAAA, and an empty one for all others.
 */
export function answerQuery(
  table: NameTable,
  random: Random,
  from: { readonly sandbox: string; readonly transport: DnsTransport },
  bytes: Uint8Array,
): Uint8Array | null {
  const query = readQuery(bytes, from.transport)
  if (query === null) return null
  const { name, type } = query
  if (type === 'PTR') {
    const ip = reversedIp(name)
    const pointer = ip === null ? null : table.nameOf(from.sandbox, ip)
    return pointer === null ? null : writeAnswer(query, { pointer })
  }
  const ips = table.addressesOf(from.sandbox, name)
  if (ips === null) return null
  const family = familyOfType[type]
  const wanted = ips.filter((ip) => ipBits(ip) === family)
  return writeAnswer(query, shuffled(random, wanted))
}
