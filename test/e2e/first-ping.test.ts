/**
 * The first packet to a new container is answered, from whichever host, as soon as `docker run -d`
 * has returned.
 */
import { expect } from 'chai'
import { createNetwork, long, members, ours, start } from './cluster.ts'
import {
  createContainer,
  inspectContainer,
  pingsFrom,
  removeContainer,
  setArp,
  startContainer,
} from '../support/lab/containers.ts'
import type { Host } from '../support/lab/host.ts'

const starts = long ? 100 : 50
/**
 * An unanswered ARP request is not repeated, so that a late row cannot hide behind the second one.
 */
const arp = { mcast_solicit: 1, retrans_time_ms: 10_000 }
const waitSeconds = 10

describe('the first ping to a new container', () => {
  it(`is answered from both other hosts, in ${starts} of ${starts} starts`, async function () {
    this.timeout(240_000)
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.15.0.0/24'])
    const observers = new Map<Host, number>()
    for (const on of members()) {
      await start(on, 'n', 'observer')
      const { pid } = await inspectContainer(on, 'n', 'observer')
      await setArp(on, pid, arp)
      observers.set(on, pid)
    }
    const unanswered: string[] = []
    let next = 0
    let answered = 0
    const lane = async (on: Host): Promise<void> => {
      for (let number = ++next; number <= starts; number = ++next) {
        const name = `c${number}`
        await createContainer(on, 'n', name)
        await startContainer(on, name)
        const { ip } = await inspectContainer(on, 'n', name)
        const asked = members().filter((other) => other !== on)
        const answers = await Promise.all(
          asked.map((from) => pingsFrom(from, observers.get(from)!, ip, waitSeconds)),
        )
        for (const [i, isAnswered] of answers.entries()) {
          if (isAnswered) answered++
          else unanswered.push(`start ${number}: ${ip} on ${on.name} from ${asked[i]!.name}`)
        }
        await removeContainer(on, name)
      }
    }
    await Promise.all(members().map(lane))
    process.stdout.write(`    first pings answered: ${answered} of ${starts * 2}\n`)
    expect(unanswered, unanswered.join('\n')).to.deep.equal([])
    expect(answered).to.equal(starts * 2)
  })
})
