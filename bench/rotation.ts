/**
 * Two containers on two hosts ping each other a hundred times a second while the gossip keys are
 * replaced by hand: how many answers are missing, and how often a member is not alive. Namespaces,
 * the bundle that ships, real sockets (root).
 *
 *     node --conditions=source bench/rotation.ts
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { PluginContainers } from '../test/netns/plugin-containers.ts'
import { PluginHosts } from '../test/netns/plugin-hosts.ts'
import { callUnixSocket } from '../test/support/lab/unix-http.ts'
import { figure, print, table } from './figures.ts'

const lookEveryMs = 200
/** Install, use and remove are a minute apart at least. */
const maxRotationMs = 400_000

const sandboxes: { containers: PluginContainers | null } = { containers: null }
const hosts = await PluginHosts.create(3, '10.61.0.0/24', async (lab) => {
  sandboxes.containers = await PluginContainers.create(lab, ['a', 'b'])
  return { SANDBOX_DIR: lab.directory, ENGINE_API: 'off' }
})
try {
  const containers = sandboxes.containers!
  const [first, second] = hosts.hosts
  for (const { story } of hosts.hosts) await story.createNetwork()
  const [a, b] = [await containers.run(first!, 'a'), await containers.run(second!, 'b')]
  const ping = spawn('nsenter', [`--net=${a.netns}`, 'ping', '-q', '-i', '0.01', b.ips[0]!])
  let said = ''
  ping.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const before = await epochOf(0)
  await callUnixSocket(first!.plugin.socket, 'POST', '/keys/rotate')
  const began = performance.now()
  let absences = 0
  let epochs: number[] = []
  do {
    for (const host of hosts.hosts) {
      const { members } = await host.plugin.status()
      absences += members.filter(({ state }) => state !== 'alive').length
    }
    epochs = await Promise.all(hosts.hosts.map((_, index) => epochOf(index)))
    await sleep(lookEveryMs)
  } while (Math.min(...epochs) === before && performance.now() - began < maxRotationMs)
  // The step after it, in which the key before is removed, and its look.
  await sleep(90_000)
  ping.kill('SIGINT')
  await once(ping, 'exit')
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said)!
  figure('rotation: pings lost', Number(sent) - Number(received))
  figure('rotation: members not alive', absences)
  print(
    table(
      ['rotation of the gossip key', ''],
      [
        ['epoch before and after', `${before}, ${epochs.join(' ')}`],
        [
          'until all hosts seal with the new key',
          `${Math.round((performance.now() - began) / 1000 - 90)} s`,
        ],
        ['pings sent, lost', `${sent}, ${Number(sent) - Number(received)}`],
        ['members not alive, of all looks', String(absences)],
      ],
    ),
  )
} finally {
  await hosts.close()
}

async function epochOf(index: number): Promise<number> {
  const { admission } = (await hosts.hosts[index]!.plugin.status()) as unknown as {
    admission: { epoch: number }
  }
  return admission.epoch
}
