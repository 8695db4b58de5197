import { gzipSync } from 'node:zlib'

const blockBytes = 512

/** A gzipped archive of text files, in the ustar format of POSIX.1-1988. `mtimeS`: Unix time. */
export function tarGz(files: ReadonlyMap<string, string>, mtimeS: number): Buffer {
  const parts: Buffer[] = []
  for (const [name, text] of files) {
    const content = Buffer.from(text)
    const padding = (blockBytes - (content.length % blockBytes)) % blockBytes
    parts.push(headerOf(name, content.length, mtimeS), content, Buffer.alloc(padding))
  }
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]))
}

function headerOf(name: string, bytes: number, mtimeS: number): Buffer {
  const header = Buffer.alloc(blockBytes)
  const octal = (value: number, at: number, length: number): void =>
    void header.write(value.toString(8).padStart(length - 1, '0'), at)
  header.write(name, 0, 100)
  octal(0o600, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(bytes, 124, 12)
  octal(mtimeS, 136, 12)
  header.write('0', 156)
  header.write('ustar', 257)
  header.write('00', 263)
  // The checksum is made as if its own field were spaces.
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
