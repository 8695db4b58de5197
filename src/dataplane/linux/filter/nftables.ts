import {
  type Message,
  type MessageWriter,
  type Request,
  readAttributes,
  readString,
} from '../netlink/message.ts'

/**
 * nf_tables messages over nfnetlink, from <linux/netfilter/nfnetlink.h> and
 * <linux/netfilter/nf_tables.h>. A message has a 4-byte nfgenmsg behind the netlink header, and all
 * integers in its attributes are big-endian.
 */

const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 0x10
const NFNL_MSG_BATCH_END = 0x11
const NLM_F_CREATE = 0x400
const NLM_F_APPEND = 0x800

const NFT_MSG_NEWTABLE = 0
const NFT_MSG_GETTABLE = 1
const NFT_MSG_DELTABLE = 2
const NFT_MSG_NEWCHAIN = 3
const NFT_MSG_NEWRULE = 6
const NFT_MSG_GETRULE = 7
const NFT_MSG_NEWSET = 9
const NFT_MSG_NEWSETELEM = 12
const NFT_MSG_GETSETELEM = 13
const NFT_MSG_DELSETELEM = 14
const NFT_MSG_NEWOBJ = 18
const NFT_MSG_GETOBJ = 19

const NFT_OBJECT_COUNTER = 1
const NFT_TABLE_F_OWNER = 2
const NF_ACCEPT = 1

/** Families of tables: <linux/netfilter.h>. */
export const families = { inet: 1, ipv4: 2, bridge: 7 } as const
export type Family = keyof typeof families

/** An element takes at most 60 bytes, and a nested attribute holds 65,535. */
const maxElementsPerMessage = 500

/** A named set. `keyBytes` counts each part of a concatenation rounded up to 4. */
export interface SetSpec {
  readonly name: string
  readonly keyBytes: number
  /** How `nft` prints the key: its numbers of data types, 6 bits each, first part highest. */
  readonly keyType: number
  /** Written by rules: a rate limit for each key, forgotten after `timeoutMs` without a packet. */
  readonly dynamic?: { readonly maxElements: number; readonly timeoutMs: number }
  /** Its elements are added with a life of their own. */
  readonly hasTimeouts?: true
}

/** One base chain, its hook and its rules. A rule is a list of expressions. */
interface ChainSpec {
  readonly name: string
  /** NF_INET_PRE_ROUTING and NF_BR_PRE_ROUTING are 0, NF_INET_LOCAL_OUT is 3. */
  readonly hook: number
  readonly priority: number
  readonly rules: readonly (readonly Expression[])[]
}

/** A table with all that is in it but the elements of its sets. */
export interface TableSpec {
  readonly family: Family
  readonly name: string
  /** It belongs to the socket that makes it: nobody else can change it, and it goes with that. */
  readonly isOwned?: boolean
  readonly counters: readonly string[]
  readonly sets: readonly SetSpec[]
  readonly chains: readonly ChainSpec[]
}

/** An expression of a rule: writes its name and attributes. */
export type Expression = (writer: MessageWriter) => void

/** Bounds of a transaction: the kernel takes all of it or nothing. */
export const batchBegin = edge(NFNL_MSG_BATCH_BEGIN)
export const batchEnd = edge(NFNL_MSG_BATCH_END)

/** The requests that make the table, to be sent as one transaction. */
export function createTable(spec: TableSpec): Request[] {
  const { family, name, counters, sets, chains } = spec
  return [
    request(family, NFT_MSG_NEWTABLE, NLM_F_CREATE, `table ${name}`, (w) => {
      w.stringAttribute(1, name)
      if (spec.isOwned === true) w.be32Attribute(2, NFT_TABLE_F_OWNER)
    }),
    ...counters.map((counter) =>
      request(family, NFT_MSG_NEWOBJ, NLM_F_CREATE, `counter ${counter}`, (w) => {
        w.stringAttribute(1, name)
        w.stringAttribute(2, counter)
        w.be32Attribute(3, NFT_OBJECT_COUNTER)
        w.nest(4, () => {})
      }),
    ),
    ...sets.map((set, index) => createSet(spec, set, index + 1)),
    ...chains.flatMap((chain) => createChain(spec, chain)),
  ]
}

function createChain({ family, name }: TableSpec, chain: ChainSpec): Request[] {
  return [
    request(family, NFT_MSG_NEWCHAIN, NLM_F_CREATE, `chain ${chain.name}`, (w) => {
      w.stringAttribute(1, name)
      w.stringAttribute(3, chain.name)
      w.nest(4, () => {
        w.be32Attribute(1, chain.hook)
        w.be32Attribute(2, chain.priority)
      })
      w.be32Attribute(5, NF_ACCEPT)
      w.stringAttribute(7, 'filter')
    }),
    ...chain.rules.map((rule, index) =>
      request(family, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, `rule ${index}`, (w) => {
        w.stringAttribute(1, name)
        w.stringAttribute(2, chain.name)
        w.nest(4, () => {
          for (const expression of rule) w.nest(1, () => expression(w))
        })
      }),
    ),
  ]
}

/** The request that removes a table with all that is in it. ENOENT when there is none. */
export function deleteTable({ family, name }: TableSpec): Request {
  return request(family, NFT_MSG_DELTABLE, 0, `table ${name} removed`, (w) =>
    w.stringAttribute(1, name),
  )
}

/** Asks for the tables of a family. */
export function getTables(family: Family): Request {
  return request(family, NFT_MSG_GETTABLE, 0, 'tables', () => {})
}

/** The table in one message of that dump. */
export function readTable(message: Message): { name: string; isOwned: boolean } {
  const body = bodyOf(message)
  return { name: readString(body.get(1)), isOwned: body.has(7) }
}

/**
 * The requests that add elements to a set; those that are there already stay as they are. With
 * `timeoutMs` they are gone after that time.
 */
export function addElements(
  table: TableSpec,
  set: string,
  keys: readonly Buffer[],
  timeoutMs?: number,
): Request[] {
  return elements(table, { type: NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE, timeoutMs }, set, keys)
}

/** The requests that remove elements. ENOENT when one is not there. */
export function deleteElements(table: TableSpec, set: string, keys: readonly Buffer[]): Request[] {
  return elements(table, { type: NFT_MSG_DELSETELEM, flags: 0 }, set, keys)
}

/** Asks for the elements of a set. A dump that finds no such set fails with ENOENT. */
export function getElements({ family, name }: TableSpec, set: string): Request {
  return request(family, NFT_MSG_GETSETELEM, 0, `elements of ${set}`, (w) => {
    w.stringAttribute(1, name)
    w.stringAttribute(2, set)
  })
}

/** The keys in one message of that dump. */
export function readElements(message: Message): Buffer[] {
  const list = bodyOf(message).get(3)
  if (list === undefined) return []
  return nestedIn(list).map((element) => readAttributes(readAttributes(element).get(1)!).get(1)!)
}

/** Asks for the rules of a table, chain by chain. */
export function getRules({ family, name }: TableSpec): Request {
  return request(family, NFT_MSG_GETRULE, 0, `rules of ${name}`, (w) => {
    w.stringAttribute(1, name)
  })
}

/** The expressions of a rule in one message of that dump, as the kernel wrote them. */
export function readRule(message: Message): Buffer {
  return bodyOf(message).get(4) ?? Buffer.alloc(0)
}

/** Asks for a table's counters. */
export function getCounters({ family, name }: TableSpec): Request {
  return request(family, NFT_MSG_GETOBJ, 0, `counters of ${name}`, (w) => {
    w.stringAttribute(1, name)
    w.be32Attribute(3, NFT_OBJECT_COUNTER)
  })
}

/** Name and packets of the counter in one message of that dump. */
export function readCounter(message: Message): { name: string; packets: bigint } {
  const body = bodyOf(message)
  const packets = readAttributes(body.get(4)!).get(2)?.readBigUInt64BE(0) ?? 0n
  return { name: readString(body.get(2)), packets }
}

function createSet(table: TableSpec, set: SetSpec, id: number): Request {
  const NFT_SET_TIMEOUT = 0x10
  const NFT_SET_EVAL = 0x20
  return request(table.family, NFT_MSG_NEWSET, NLM_F_CREATE, `set ${set.name}`, (w) => {
    w.stringAttribute(1, table.name)
    w.stringAttribute(2, set.name)
    const timeouts = set.hasTimeouts === true ? NFT_SET_TIMEOUT : 0
    w.be32Attribute(3, set.dynamic === undefined ? timeouts : NFT_SET_TIMEOUT | NFT_SET_EVAL)
    w.be32Attribute(4, set.keyType)
    w.be32Attribute(5, set.keyBytes)
    w.be32Attribute(10, id)
    if (set.dynamic === undefined) return
    const { maxElements, timeoutMs } = set.dynamic
    w.nest(9, () => w.be32Attribute(1, maxElements))
    w.be64Attribute(11, BigInt(timeoutMs))
  })
}

function elements(
  { family, name }: TableSpec,
  { type, flags, timeoutMs }: { type: number; flags: number; timeoutMs?: number | undefined },
  set: string,
  keys: readonly Buffer[],
): Request[] {
  const requests: Request[] = []
  for (let first = 0; first < keys.length; first += maxElementsPerMessage) {
    const some = keys.slice(first, first + maxElementsPerMessage)
    const what = `${some.length} elements of ${set}`
    requests.push(
      request(family, type, flags, what, (w) => {
        w.stringAttribute(1, name)
        w.stringAttribute(2, set)
        w.nest(3, () => {
          for (const key of some)
            w.nest(1, () => {
              w.nest(1, () => w.bytesAttribute(1, key))
              if (timeoutMs !== undefined) w.be64Attribute(4, BigInt(timeoutMs))
            })
        })
      }),
    )
  }
  return requests
}

function request(
  family: Family,
  type: number,
  flags: number,
  what: string,
  attributes: (writer: MessageWriter) => void,
): Request {
  return {
    type: (NFNL_SUBSYS_NFTABLES << 8) | type,
    flags,
    what: `nf_tables, ${what}`,
    body: (writer) => {
      generalHeader(writer, families[family], 0)
      attributes(writer)
    },
  }
}

function edge(type: number): Request {
  return { type, flags: 0, body: (writer) => generalHeader(writer, 0, NFNL_SUBSYS_NFTABLES) }
}

/** struct nfgenmsg: family, version 0, a resource id in network order. */
function generalHeader(writer: MessageWriter, family: number, resource: number): void {
  writer.u8(family)
  writer.u8(0)
  writer.u8(resource >>> 8)
  writer.u8(resource & 0xff)
}

function bodyOf(message: Message): Map<number, Buffer> {
  return readAttributes(message.body.subarray(4))
}

/** The values of the attributes in a list, whose types are all alike. */
function nestedIn(list: Buffer): Buffer[] {
  const values: Buffer[] = []
  for (let at = 0; at + 4 <= list.length;) {
    const length = list.readUInt16LE(at)
    if (length < 4 || at + length > list.length) break
    values.push(list.subarray(at + 4, at + length))
    at += (length + 3) & ~3
  }
  return values
}
