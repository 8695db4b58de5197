/**
 * Sends Ethernet frames as they are, for tests that run it with `nsenter` in a container's network.
 *
 *     node --conditions=source test/support/send-frames.ts DEVICE COUNT FRAME...
 *
 * Frames are in hexadecimal; each is sent COUNT times.
 */
import { closeSync, openSync } from 'node:fs'
import { PacketSocket } from '../netns/packet-socket.ts'

const [device, count, ...frames] = process.argv.slice(2)
const netns = openSync('/proc/self/ns/net', 'r')
const socket = new PacketSocket(netns, device!)
for (let i = 0; i < Number(count); i++)
  for (const frame of frames) socket.send(Buffer.from(frame, 'hex'))
socket.close()
closeSync(netns)
