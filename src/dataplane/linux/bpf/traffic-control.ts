import { type Message, type Request, readAttributes, readString } from '../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'

/**
 * Programs at the ingress of a link, by rtnetlink: the clsact qdisc and a bpf filter with direct
 * action, from <linux/pkt_sched.h> and <linux/pkt_cls.h>. Ours is told from those of others by its
 * priority, and comes after theirs.
 */

const RTM_NEWQDISC = 36
const RTM_NEWTFILTER = 44
const RTM_DELTFILTER = 45
const RTM_GETTFILTER = 46
const NLM_F_EXCL = 0x200
const NLM_F_CREATE = 0x400

const TCA_KIND = 1
const TCA_OPTIONS = 2
const TCA_BPF_FD = 6
const TCA_BPF_NAME = 7
const TCA_BPF_FLAGS = 8
const TCA_BPF_ID = 11
const TCA_BPF_FLAG_ACT_DIRECT = 1

/** Parent of the qdisc, and of filters at the ingress: TC_H_CLSACT with TC_H_MIN_INGRESS. */
const clsact = 0xffff_fff1
const ingress = 0xffff_fff2
const clsactHandle = 0xffff_0000
/** "ts" in ASCII: far behind the priorities that people choose. */
const priority = 0x7473
const handle = 1
/** ETH_P_ALL in network order. */
const allProtocols = 0x0300
const headerBytes = 20
/** A link without the qdisc, no link of that index, or a kernel without qdiscs. */
const nothingThere: readonly string[] = ['EINVAL', 'ENOENT', 'ENODEV', 'EOPNOTSUPP']

/** The id of the program that our filter of a link runs; null when there is none. */
export function attachedProgram(socket: NetlinkSocket, ifindex: number): number | null {
  try {
    const filters = socket.dump(filterRequest(RTM_GETTFILTER, 0, ifindex))
    return filters.flatMap((message) => programId(message) ?? [])[0] ?? null
  } catch (error) {
    if (error instanceof NetlinkError && nothingThere.includes(error.code)) return null
    throw error
  }
}

/** Has a link run a program, in place of the one that our filter ran. No frame passes by. */
export function attachProgram(socket: NetlinkSocket, ifindex: number, fd: number): void {
  const [error] = socket.send([createQdisc(ifindex)]).values()
  if (error !== undefined && error.code !== 'EEXIST') throw error
  socket.sendAll([filterRequest(RTM_NEWTFILTER, NLM_F_CREATE, ifindex, fd)])
}

/** Removes our filter. None is no error. */
export function detachProgram(socket: NetlinkSocket, ifindex: number): void {
  const [error] = socket.send([filterRequest(RTM_DELTFILTER, 0, ifindex)]).values()
  if (error !== undefined && !nothingThere.includes(error.code)) throw error
}

function createQdisc(ifindex: number): Request {
  return {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    what: `qdisc clsact of link ${ifindex}`,
    body: (writer) => {
      for (const field of [0, ifindex, clsactHandle, clsact, 0]) writer.u32(field)
      writer.stringAttribute(TCA_KIND, 'clsact')
    },
  }
}

function filterRequest(type: number, flags: number, ifindex: number, fd?: number): Request {
  return {
    type,
    flags,
    what: `filter of link ${ifindex}`,
    body: (writer) => {
      const info = ((priority << 16) | allProtocols) >>> 0
      for (const field of [0, ifindex, type === RTM_GETTFILTER ? 0 : handle, ingress, info])
        writer.u32(field)
      if (type === RTM_GETTFILTER) return
      writer.stringAttribute(TCA_KIND, 'bpf')
      if (fd === undefined) return
      writer.nest(TCA_OPTIONS, () => {
        writer.u32Attribute(TCA_BPF_FD, fd)
        writer.stringAttribute(TCA_BPF_NAME, 'ts-overlay')
        writer.u32Attribute(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
      })
    },
  }
}

/** Of one message of a dump: the program of our filter; null for other filters. */
function programId({ body }: Message): number | null {
  const attributes = readAttributes(body.subarray(headerBytes))
  const isOurs = body.readUInt32LE(8) === handle && body.readUInt32LE(16) >>> 16 === priority
  if (!isOurs || readString(attributes.get(TCA_KIND)) !== 'bpf') return null
  const options = attributes.get(TCA_OPTIONS)
  if (options === undefined) return null
  return readAttributes(options).get(TCA_BPF_ID)?.readUInt32LE() ?? null
}
