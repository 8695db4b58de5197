/** What a probe carries; the rest of the packet is zeros, which only give it its size. */
interface ProbePayload {
  readonly kind: 'probe' | 'echo'
  /** Of the sender's process and path; a guess of it is no echo. */
  readonly nonce: number
  readonly sequence: number
  /** Name of the member that sent it. */
  readonly sender: string
}

const magic = 0x74_73_6f_70
const headerBytes = 14
const maxNameBytes = 255

export function encodeProbe({ kind, nonce, sequence, sender }: ProbePayload): Uint8Array {
  const name = Buffer.from(sender)
  const bytes = Buffer.alloc(headerBytes + name.length)
  bytes.writeUInt32BE(magic, 0)
  bytes.writeUInt8(kind === 'probe' ? 1 : 2, 4)
  bytes.writeUInt32BE(nonce, 5)
  bytes.writeUInt32BE(sequence, 9)
  bytes.writeUInt8(name.length, 13)
  bytes.set(name, headerBytes)
  return bytes
}

/** Null for what is no probe of ours. */
export function decodeProbe(payload: Uint8Array): ProbePayload | null {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (bytes.length < headerBytes || bytes.readUInt32BE(0) !== magic) return null
  const [kind, length] = [bytes.readUInt8(4), bytes.readUInt8(13)]
  if ((kind !== 1 && kind !== 2) || length > maxNameBytes || bytes.length < headerBytes + length)
    return null
  return {
    kind: kind === 1 ? 'probe' : 'echo',
    nonce: bytes.readUInt32BE(5),
    sequence: bytes.readUInt32BE(9),
    sender: bytes.toString('utf8', headerBytes, headerBytes + length),
  }
}
