/**
 * DNS messages (RFC 1035, EDNS of RFC 6891), encoded and decoded by dns-packet. Queries come from
 * containers and may be anything: what is not one plain question is none of ours, and is null.
 */
import {
  type Answer as DnsAnswer,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  decode,
  encode,
} from 'dns-packet'
import { type Ip, ipBits, ipFromBytes, ipToBytes, parseIp } from '../net/ip.ts'

/** A longer message is no query that we look into. */
export const maxQueryBytes = 4096
/** What every client takes over UDP without EDNS. */
const minUdpBytes = 512
const maxTcpBytes = 65_535
const headerBytes = 12
/** What we say that we take over UDP: no fragments on any underlay. */
const ownUdpBytes = 1232
/** Seconds that a client may keep an answer. */
const ttl = 5

export type DnsTransport = 'udp' | 'tcp'

/** One question of class IN. */
interface Query {
  readonly id: number
  /** Lower case, without a dot at its end. */
  readonly name: string
  /** `A`, `AAAA`, `PTR` or any other. */
  readonly type: string
  /** What the client takes. */
  readonly maxAnswerBytes: number
  readonly hasEdns: boolean
  readonly flags: number
  readonly question: Question
}

/** The data of the records that answer a question; none is an answer, too. */
type AnswerData = readonly Ip[] | { readonly pointer: string }

/** Reads a query with one question of class IN; null for anything else. */
export function readQuery(bytes: Uint8Array, transport: DnsTransport): Query | null {
  if (bytes.length <= headerBytes || bytes.length > maxQueryBytes) return null
  const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const isPlain =
    // A response, or another operation than QUERY.
    (message[2]! & 0xf8) === 0 &&
    message.readUInt16BE(4) === 1 &&
    message.readUInt16BE(6) === 0 &&
    message.readUInt16BE(8) === 0 &&
    message.readUInt16BE(10) <= 1
  if (!isPlain) return null
  const packet = decodeOrNull(message)
  const question = packet?.questions?.[0]
  if (question === undefined || question.class !== 'IN') return null
  const edns = packet?.additionals?.find((record) => record.type === 'OPT')
  const udpBytes = edns?.type === 'OPT' ? edns.udpPayloadSize : 0
  return {
    id: message.readUInt16BE(0),
    name: question.name.toLowerCase(),
    type: question.type,
    maxAnswerBytes: transport === 'tcp' ? maxTcpBytes : Math.max(minUdpBytes, udpBytes),
    hasEdns: edns !== undefined,
    flags: message.readUInt16BE(2),
    question,
  }
}

/**
 * The answer with these records, in this order, as many as the client takes: a part of the
 * addresses is as good as all.
 */
export function writeAnswer(query: Query, data: AnswerData): Uint8Array {
  const { question } = query
  const records: DnsAnswer[] =
    'pointer' in data
      ? [{ type: 'PTR', name: question.name, ttl, data: data.pointer }]
      : data.map((ip) => ({
          type: ipBits(ip) === 32 ? 'A' : 'AAAA',
          name: question.name,
          ttl,
          data: ip,
        }))
  let answer = encodeAnswer(query, records)
  if (answer.length > query.maxAnswerBytes) {
    const bare = encodeAnswer(query, []).length
    const each = (answer.length - bare) / records.length
    const count = Math.floor((query.maxAnswerBytes - bare) / each)
    answer = encodeAnswer(query, records.slice(0, Math.max(0, count)))
  }
  return answer
}

/** The address that a name below in-addr.arpa or ip6.arpa stands for; null for any other name. */
export function reversedIp(name: string): Ip | null {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name)
  if (v4 !== null) return parseIp(v4.slice(1).toReversed().join('.'))
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)
  if (v6 === null) return null
  const hex = v6[1]!.replaceAll('.', '').split('').toReversed().join('')
  return ipFromBytes(Buffer.from(hex, 'hex'))
}

/** A query for the name of an address. */
export function pointerQuery(ip: Ip): Uint8Array {
  const questions: Question[] = [{ type: 'PTR', name: reversedName(ip) }]
  return encode({ type: 'query', id: 0, flags: RECURSION_DESIRED, questions })
}

/** The name in the answer to that; null when there is none. */
export function readPointer(bytes: Uint8Array): string | null {
  if (bytes.length > maxQueryBytes) return null
  const record = decodeOrNull(Buffer.from(bytes))?.answers?.[0]
  return record?.type === 'PTR' ? record.data : null
}

function reversedName(ip: Ip): string {
  if (ipBits(ip) === 32) return `${ip.split('.').toReversed().join('.')}.in-addr.arpa`
  const hex = Buffer.from(ipToBytes(ip)).toString('hex')
  return `${hex.split('').toReversed().join('.')}.ip6.arpa`
}

function encodeAnswer(query: Query, answers: DnsAnswer[]): Uint8Array {
  const { id, flags, question, hasEdns } = query
  return encode({
    type: 'response',
    id,
    flags: (flags & RECURSION_DESIRED) | RECURSION_AVAILABLE,
    questions: [question],
    answers,
    additionals: hasEdns ? [ownEdns] : [],
  })
}

const ownEdns: DnsAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: ownUdpBytes,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

/** The codec throws for whatever it cannot read: errors of its own, RangeErrors of buffers. */
function decodeOrNull(message: Buffer) {
  try {
    return decode(message)
  } catch {
    return null
  }
}
