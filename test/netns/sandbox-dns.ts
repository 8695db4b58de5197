/** What a container has of DNS: the engine's resolver as the engine makes it, and a client. */
import { type Socket, createSocket } from 'node:dgram'
import { closeSync, openSync } from 'node:fs'
import { type Server, Socket as TcpSocket, createServer } from 'node:net'
import { type Packet, type RecordType, decode, encode } from 'dns-packet'
import { execa } from 'execa'
import {
  bindAnyPort,
  listenOn,
  openInetSocket,
  startConnecting,
} from '../../src/dataplane/linux/netlink/syscall.ts'
import { inNetns } from '../../src/dataplane/linux/netns/netns.ts'

const address = Buffer.from([127, 0, 0, 11])

function inSandbox<T>(path: string, visit: () => T): T {
  const fd = openSync(path, 'r')
  try {
    return inNetns(fd, visit)
  } finally {
    closeSync(fd)
  }
}

/** A query for one name. */
export function queryOf(name: string, type = 'A', id = 1): Buffer {
  const questions = [{ name, type: type as RecordType }]
  return encode({ type: 'query', id, flags: 0x100, questions })
}

/** An answer with one address, or one name; an empty one to a question for IPv6. */
export function answerOf(query: Buffer, data: string): Buffer {
  const { id = 0, questions = [] } = decode(query)
  const question = questions[0]!
  const type = question.type === 'PTR' ? 'PTR' : 'A'
  const isIpv6 = question.type === 'AAAA'
  const answers = isIpv6 ? [] : [{ type, name: question.name, ttl: 600, data } as const]
  return encode({ type: 'response', id, flags: 0x180, questions, answers })
}

/** The data of the first record; the rcode when there is none. */
export function textOf(answer: Packet & { rcode?: string }): string {
  const record = answer.answers?.[0]
  const data = record !== undefined && 'data' in record ? record.data : null
  return typeof data === 'string' ? data : (answer.rcode ?? '')
}

/**
 * Stands for the engine's resolver: sockets at ports of the kernel's choice, and NAT to them as the
 * engine has it.
 */
export class EngineResolver {
  /** Names of the queries that arrived. */
  readonly asked: string[] = []
  isSilent = false
  readonly #path: string
  readonly #answers: Readonly<Record<string, string>>
  #udp: Socket | null = null
  #tcp: Server | null = null

  constructor(path: string, answers: Readonly<Record<string, string>>) {
    this.#path = path
    this.#answers = answers
  }

  /** As after each start of the engine: new ports, and the rules once more. */
  async start(): Promise<void> {
    const [udp, tcp] = (['udp', 'tcp'] as const).map((transport) =>
      inSandbox(this.#path, () => {
        const fd = openInetSocket(transport)
        const port = bindAnyPort(fd, address)
        if (transport === 'tcp') listenOn(fd, 16)
        return { fd, port }
      }),
    ) as [{ fd: number; port: number }, { fd: number; port: number }]
    this.#udp = createSocket('udp4').bind({ fd: udp.fd, exclusive: true })
    this.#udp.on('message', (query, { port, address: from }) => {
      const answer = this.#answer(query)
      if (answer !== null) this.#udp?.send(answer, port, from)
    })
    this.#tcp = createServer((client) => {
      client.on('error', () => {})
      let rest = Buffer.alloc(0)
      client.on('data', (bytes) => {
        rest = Buffer.concat([rest, bytes])
        // Several queries may come in one piece.
        while (rest.length > 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
          const end = 2 + rest.readUInt16BE(0)
          const answer = this.#answer(rest.subarray(2, end))
          if (answer !== null) client.write(framed(answer))
          rest = rest.subarray(end)
        }
      })
    }).listen({ fd: tcp.fd })
    await this.#nft(natRules(udp.port, tcp.port))
  }

  /** The engine is away; its rules stay. */
  stop(): void {
    this.#udp?.close()
    this.#tcp?.close()
    this.#udp = null
    this.#tcp = null
  }

  #answer(query: Buffer): Buffer | null {
    const question = decode(query).questions![0]!
    this.asked.push(question.name)
    if (this.isSilent) return null
    const data = this.#answers[question.name]
    if (data !== undefined) return answerOf(query, data)
    const answer = Buffer.from(query)
    answer[2] = 0x81
    answer[3] = 0x83
    return answer
  }

  async #nft(input: string): Promise<void> {
    await execa('nsenter', [`--net=${this.#path}`, 'nft', '-f', '-'], { input })
  }
}

/** The rules of an engine with iptables-nft. */
function natRules(udp: number, tcp: number): string {
  const rules = [
    ['output', `udp dport 53 dnat to 127.0.0.11:${udp}`],
    ['output', `tcp dport 53 dnat to 127.0.0.11:${tcp}`],
    ['postrouting', `udp sport ${udp} snat to 127.0.0.11:53`],
    ['postrouting', `tcp sport ${tcp} snat to 127.0.0.11:53`],
  ]
  return [
    'table ip nat {}',
    'flush table ip nat',
    'table ip nat {',
    'chain output { type nat hook output priority -100; }',
    'chain postrouting { type nat hook postrouting priority 100; }',
    '}',
    ...rules.map(([chain, rule]) => {
      const match = chain === 'output' ? 'daddr' : 'saddr'
      return `add rule ip nat ${chain} ip ${match} 127.0.0.11 ${rule}`
    }),
    '',
  ].join('\n')
}

/** A program in a container that keeps its socket. */
export class DnsClient {
  readonly #path: string
  #socket: Socket
  #id = 0

  constructor(path: string) {
    this.#path = path
    this.#socket = this.#open()
  }

  /** Goes on with another socket, as most programs do for each query. */
  renew(): void {
    this.#socket.close()
    this.#socket = this.#open()
  }

  /** What is answered; asks again after a while, with the same socket, as a libc does. */
  async ask(name: string, type = 'A', retryMs = 2500): Promise<string> {
    for (let attempt = 0; attempt < 40; attempt++) {
      const answer = await this.askOnce(name, type, retryMs)
      if (answer !== null) return answer
    }
    throw new Error(`no answer for ${name}`)
  }

  /** Null after a time without an answer. */
  askOnce(name: string, type = 'A', waitMs = 2500): Promise<string | null> {
    const id = ++this.#id
    return new Promise((resolve) => {
      const done = (answer: string | null): void => {
        clearTimeout(timer)
        this.#socket.off('message', onMessage)
        resolve(answer)
      }
      const onMessage = (bytes: Buffer): void => {
        const answer = decode(bytes)
        if (answer.id === id) done(textOf(answer))
      }
      const timer = setTimeout(() => done(null), waitMs)
      this.#socket.on('message', onMessage)
      this.#socket.send(queryOf(name, type, id), 53, '127.0.0.11')
    })
  }

  /** Several queries over one connection. */
  askOverTcp(...names: string[]): Promise<string[]> {
    const fd = inSandbox(this.#path, () => {
      const opened = openInetSocket('tcp')
      startConnecting(opened, address, 53)
      return opened
    })
    const socket = new TcpSocket({ fd })
    return new Promise((resolve, reject) => {
      const answers: string[] = []
      let rest = Buffer.alloc(0)
      socket.on('error', reject)
      socket.on('close', () => resolve(answers))
      socket.on('data', (bytes) => {
        rest = Buffer.concat([rest, bytes])
        while (rest.length > 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
          const end = 2 + rest.readUInt16BE(0)
          answers.push(textOf(decode(rest.subarray(2, end))))
          rest = rest.subarray(end)
        }
        if (answers.length === names.length) socket.destroy()
      })
      for (const [i, name] of names.entries()) socket.write(framed(queryOf(name, 'A', i + 1)))
    })
  }

  close(): void {
    this.#socket.close()
  }

  #open(): Socket {
    const fd = inSandbox(this.#path, () => {
      const opened = openInetSocket('udp')
      bindAnyPort(opened, Buffer.from([127, 0, 0, 1]))
      return opened
    })
    return createSocket('udp4')
      .on('error', () => {})
      .bind({ fd, exclusive: true })
  }
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}
