import { Memberlist, SocketTransport, type MemberlistOptions } from 'memberlist-js'

/** Starts a member of ours on real sockets, at port 7946 of a loopback address. */
export async function realMember(
  name: string,
  address: string,
  options: Partial<MemberlistOptions> = {},
): Promise<Memberlist> {
  const transport = options.transport ?? (await SocketTransport.bind({ bindAddress: address }))
  const list = new Memberlist({ name, ...options, transport })
  list.start()
  return list
}

/** serf's tags: a magic byte and a msgpack map of short strings. */
export function serfTags(tags: Readonly<Record<string, string>>): Uint8Array {
  const raw = (text: string) => [0xa0 | text.length, ...Buffer.from(text)]
  const entries = Object.entries(tags)
  const pairs = entries.flatMap(([key, value]) => [...raw(key), ...raw(value)])
  return Uint8Array.of(0xff, 0x80 | entries.length, ...pairs)
}
