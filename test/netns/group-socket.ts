/** A UDP socket in a container that is in a multicast group, a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { execa } from 'execa'

const port = 5353

const receiver = `
const [group, port] = process.argv.slice(1)
const socket = require('node:dgram').createSocket({ type: group.includes(':') ? 'udp6' : 'udp4', reuseAddr: true })
socket.on('message', (message, { address }) => console.log(message + ' ' + address.split('%')[0]))
socket.bind(Number(port), () => {
  socket.addMembership(group, group.includes(':') ? '::%eth0' : process.argv[3])
  console.log('joined')
})
process.stdin.on('end', () => { socket.dropMembership(group, group.includes(':') ? '::%eth0' : process.argv[3]); console.log('left') }).resume()`

const sender = `
const [group, port, address, ...texts] = process.argv.slice(1)
const is6 = group.includes(':')
const socket = require('node:dgram').createSocket({ type: is6 ? 'udp6' : 'udp4' })
socket.bind(0, address, async () => {
  socket.setBroadcast(true)
  if (is6) socket.setMulticastInterface('::%eth0')
  else socket.setMulticastInterface(address)
  socket.setMulticastTTL(8)
  for (const text of texts) {
    const to = is6 && group.startsWith('ff02') ? group + '%eth0' : group
    await new Promise((done) => socket.send(text, Number(port), to, done))
  }
  socket.close()
})`

/** What a container with a socket in a group has received. */
export class GroupSocket {
  /** Each message and its sender, 'text address'. */
  readonly received: string[] = []
  readonly #process: ChildProcess

  private constructor(process: ChildProcess) {
    this.#process = process
  }

  /** Joins the group on the container's link with that address. */
  static async join(netns: string, group: string, address: string): Promise<GroupSocket> {
    const command = [process.execPath, '-e', receiver, group, String(port), address]
    const child = spawn('nsenter', [`--net=${netns}`, ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const socket = new GroupSocket(child)
    const lines = createInterface(child.stdout)
    await once(lines, 'line')
    lines.on('line', (line) => socket.received.push(line))
    return socket
  }

  /** Leaves the group, and goes on listening to the port. */
  leave(): void {
    this.#process.stdin!.end()
  }

  close(): void {
    this.#process.kill('SIGKILL')
  }
}

/** Sends texts to a group, or a broadcast address, from a container's address. */
export async function sendTo(
  netns: string,
  group: string,
  address: string,
  texts: readonly string[],
): Promise<void> {
  const command = [process.execPath, '-e', sender, group, String(port), address, ...texts]
  await execa('nsenter', [`--net=${netns}`, ...command])
}
