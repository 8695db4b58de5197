/**
 * A member of ours in a process of its own, which can be stopped: `member-process.ts NAME ADDRESS
 * SEED`. Prints its incarnation whenever that has changed.
 */
import { realMember } from './real-member.ts'

const [name, address, seed] = process.argv.slice(2)
const list = await realMember(name!, address!)
await list.join([seed!])
let last = 0
setInterval(() => {
  const { incarnation } = list.local
  if (incarnation !== last) process.stdout.write(`${incarnation}\n`)
  last = incarnation
}, 50)
