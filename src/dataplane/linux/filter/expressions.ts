import type { MessageWriter } from '../netlink/message.ts'
import type { Expression } from './nftables.ts'

/**
 * The expressions that our rules are made of, with the numbers of <linux/netfilter/nf_tables.h>. A
 * rule loads what it looks at into registers of 4 bytes each, numbered from `register(0)` on, and
 * goes on with the next expression while comparisons hold.
 */

/** NFT_REG32_00 + n: the n-th of sixteen registers of 4 bytes. */
export const register = (n: number): number => 8 + n
const verdictRegister = 0

/** Where a payload offset counts from. */
export const link = 0
export const network = 1
export const transport = 2

const metaKeys = { oif: 5, iifname: 6, oifname: 7, l4proto: 16, nfproto: 15, mark: 3 } as const
const verdicts = { drop: 0, accept: 1, return: -5 } as const

/** Loads a property: 16 bytes of a name, 1 of a protocol, 4 of the mark and of an index. */
export function meta(key: keyof typeof metaKeys, to = register(0)): Expression {
  return named('meta', (w) => {
    w.be32Attribute(1, to)
    w.be32Attribute(2, metaKeys[key])
  })
}

/** An interface's name, as those properties have it. */
export function interfaceKey(name: string): Buffer {
  const key = Buffer.alloc(16)
  key.write(name)
  return key
}

/** Loads `length` bytes of the packet, filled up with zeros to a whole register. */
export function payload(
  base: number,
  offset: number,
  length: number,
  to = register(0),
): Expression {
  return named('payload', (w) => {
    w.be32Attribute(1, to)
    w.be32Attribute(2, base)
    w.be32Attribute(3, offset)
    w.be32Attribute(4, length)
  })
}

/** Goes on when the first register equals the bytes. */
export function equals(bytes: Uint8Array): Expression {
  return compare(0, bytes)
}

/** Goes on when it does not. */
export function differs(bytes: Uint8Array): Expression {
  return compare(1, bytes)
}

/** Keeps the bits of the mask in the first register. */
export function and(mask: Uint8Array): Expression {
  return named('bitwise', (w) => {
    w.be32Attribute(1, register(0))
    w.be32Attribute(2, register(0))
    w.be32Attribute(3, mask.length)
    w.nest(4, () => w.bytesAttribute(1, mask))
    w.nest(5, () => w.bytesAttribute(1, new Uint8Array(mask.length)))
    w.be32Attribute(6, 0)
  })
}

/** Goes on when the registers from the first on are a key of the set, or are not. */
export function lookup(set: string, is: 'in' | 'not in'): Expression {
  return named('lookup', (w) => {
    w.stringAttribute(1, set)
    w.be32Attribute(2, register(0))
    if (is === 'not in') w.be32Attribute(5, 1)
  })
}

/** Goes on for packets beyond a rate, counted for each key in the first registers. */
export function beyondRate(
  set: string,
  limit: { readonly perSecond: number; readonly burst: number },
): Expression {
  const NFT_DYNSET_OP_UPDATE = 1
  const NFT_LIMIT_F_INV = 1
  return named('dynset', (w) => {
    w.stringAttribute(1, set)
    w.be32Attribute(3, NFT_DYNSET_OP_UPDATE)
    w.be32Attribute(4, register(0))
    w.nest(7, () => {
      w.stringAttribute(1, 'limit')
      w.nest(2, () => {
        w.be64Attribute(1, BigInt(limit.perSecond))
        w.be64Attribute(2, 1n)
        w.be32Attribute(3, limit.burst)
        w.be32Attribute(4, 0)
        w.be32Attribute(5, NFT_LIMIT_F_INV)
      })
    })
  })
}

/** Counts the packet under a name. */
export function count(counter: string): Expression {
  return named('objref', (w) => {
    w.be32Attribute(1, 1)
    w.stringAttribute(2, counter)
  })
}

/** Keeps the packet out of connection tracking. */
export function notrack(): Expression {
  return named('notrack', () => {})
}

/** Puts a port in place of the packet's, and corrects the checksum of its transport. */
export function rewritePort(
  which: 'source' | 'destination',
  protocol: 'udp' | 'tcp',
  port: number,
): Expression[] {
  const NFT_PAYLOAD_CSUM_INET = 1
  const checksumOffsets = { udp: 6, tcp: 16 } as const
  return [
    named('immediate', (w) => {
      w.be32Attribute(1, register(0))
      w.nest(2, () => w.bytesAttribute(1, Uint8Array.of(port >> 8, port & 255)))
    }),
    named('payload', (w) => {
      w.be32Attribute(2, transport)
      w.be32Attribute(3, which === 'source' ? 0 : 2)
      w.be32Attribute(4, 2)
      w.be32Attribute(5, register(0))
      w.be32Attribute(6, NFT_PAYLOAD_CSUM_INET)
      w.be32Attribute(7, checksumOffsets[protocol])
      w.be32Attribute(8, 0)
    }),
  ]
}

/** Ends the rule with a verdict. */
export function verdict(what: keyof typeof verdicts): Expression {
  return named('immediate', (w) => {
    w.be32Attribute(1, verdictRegister)
    w.nest(2, () => w.nest(2, () => w.be32Attribute(1, verdicts[what] >>> 0)))
  })
}

function compare(operation: number, bytes: Uint8Array): Expression {
  return named('cmp', (w) => {
    w.be32Attribute(1, register(0))
    w.be32Attribute(2, operation)
    w.nest(3, () => w.bytesAttribute(1, bytes))
  })
}

function named(name: string, attributes: (writer: MessageWriter) => void): Expression {
  return (writer) => {
    writer.stringAttribute(1, name)
    writer.nest(2, () => attributes(writer))
  }
}
