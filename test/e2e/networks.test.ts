/** A network that is created on one host is on all, and goes from all. */
import { expect } from 'chai'
import type { Host } from '../support/lab/host.ts'
import { until } from '../support/lab/processes.ts'
import {
  bareHost,
  everywhere,
  expectAnswers,
  expectAnswersIn,
  expectRefusal,
  host,
  members,
  runOnce,
  start,
} from './cluster.ts'

interface Inspected {
  readonly Id: string
  readonly Created: string
  readonly Labels: Readonly<Record<string, string>>
  readonly EnableIPv4?: boolean
}

/** `docker network create` on one host. */
async function create(on: Host, name: string, args: readonly string[] = []): Promise<void> {
  await on.docker(['network', 'create', ...everywhere, ...args, name])
}

/** The same with the engine's own IPAM driver. */
const plain = ['network', 'create', '-d', 'ts-overlay']

async function createPlain(on: Host, name: string): Promise<void> {
  await on.docker([...plain, name])
}

async function has(on: Host, name: string): Promise<boolean> {
  const format = ['--format', '{{.Name}}', '--filter', 'type=custom']
  const { stdout } = await on.docker(['network', 'ls', ...format])
  return stdout.split('\n').includes(name)
}

async function onAll(name: string, hosts: readonly Host[] = members()): Promise<void> {
  for (const on of hosts) await until(() => has(on, name), `${on.name}: network ${name}`)
}

async function onNone(name: string, hosts: readonly Host[] = members()): Promise<void> {
  for (const on of hosts)
    await until(async () => !(await has(on, name)), `${on.name}: no network ${name}`)
}

async function remove(on: Host, name: string): Promise<void> {
  await on.docker(['network', 'rm', name])
}

/** The network as `inspect` shows it, but what is each host's own. */
async function shape(on: Host, name: string): Promise<unknown> {
  const { stdout } = await on.docker(['network', 'inspect', name])
  const [inspected] = JSON.parse(stdout) as Inspected[]
  const { Id: _id, Created: _created, EnableIPv4: _ipv4, Labels, ...rest } = inspected!
  const { 'ts-overlay.network': _generation, ...labels } = Labels
  // Engine 29 has counters of addresses there.
  return { ...rest, labels, Status: undefined }
}

/** Waits for a finding about the network, and gives its text and remedy. */
async function finding(on: Host, code: string, name: string): Promise<string> {
  const subject = `network ${name}`
  const found = ({ findings }: Awaited<ReturnType<Host['pluginStatus']>>) =>
    findings.list.find((one) => one.code === code && one.subject === subject)
  const status = await on.pluginStatusWhen((now) => found(now) !== undefined)
  const { text, remedy } = found(status)!
  return `${text}; ${remedy}`
}

describe('a network that was created on one host', () => {
  it('is usable on every host, without a subnet', async () => {
    await create(host(1), 'auto')
    const address = await start(host(1), 'auto', 'c1')
    await onAll('auto')
    await expectAnswers(host(2), 'auto', address)
    await expectAnswers(host(3), 'auto', address)
    const { overlays } = await host(3).pluginStatus()
    expect(overlays.map(({ name }) => name)).to.deep.equal(['auto'])
  })

  it('has all its options everywhere', async () => {
    const net = ['--subnet', '10.81.0.0/24', '--ip-range', '10.81.0.128/25']
    const set = ['--gateway', '10.81.0.1', '--aux-address', 'a=10.81.0.130']
    const ipv6 = ['--ipv6', '--subnet', 'fd00:81::/64']
    const flags = ['--internal', '--attachable', '--label', 'a.b=c']
    const mtu = ['-o', 'com.docker.network.driver.mtu=1300']
    await create(host(2), 'full', [...net, ...set, ...ipv6, ...flags, ...mtu])
    await onAll('full')
    const wanted = await shape(host(2), 'full')
    for (const on of members()) expect(await shape(on, 'full')).to.deep.equal(wanted)
    const address = await start(host(3), 'full', 'c3')
    await expectAnswers(host(1), 'full', address)
  })

  it('is usable on every host without --ipam-driver, each engine with a part of its own', async () => {
    await createPlain(host(1), 'plain')
    await onAll('plain')
    const first = await start(host(1), 'plain', 'c1')
    const second = await start(host(2), 'plain', 'c2')
    const third = await start(host(3), 'plain', 'c3')
    expect(new Set([first, second, third]).size).to.equal(3)
    await expectAnswersIn(host(2), 'c2', first)
    await expectAnswersIn(host(3), 'c3', second)
    await expectAnswersIn(host(1), 'c1', third)
    const { stdout } = await host(3).docker(['exec', 'c3', 'getent', 'ahostsv4', 'c1'])
    expect(stdout).to.contain(first)
    // The subnet of the first is automatic, and there the engine takes no --ip.
    const stolen = await runOnce(host(2), 'plain', ['true'], ['--ip', first])
    const { member } = await host(1).pluginStatus()
    expectRefusal(stolen, first, `not this host's to give but ${member}'s`)
    for (const on of members()) await on.docker(['rm', '-f', `c${on.index}`])
    await remove(host(2), 'plain')
    await onNone('plain')
    await createPlain(host(3), 'plain')
    await onAll('plain')
  })

  it('has all its options everywhere without --ipam-driver, too', async () => {
    const net = ['--subnet', '10.90.0.0/24', '--gateway', '10.90.0.9', '--label', 'a.b=c']
    const ipv6 = ['--ipv6', '--subnet', 'fd00:90::/64']
    await host(2).docker([...plain, ...net, ...ipv6, '--internal', 'plain-full'])
    await onAll('plain-full')
    const first = await start(host(2), 'plain-full', 'c2')
    const second = await start(host(1), 'plain-full', 'c1')
    await expectAnswersIn(host(1), 'c1', first)
    const { stdout } = await host(1).docker([
      'exec',
      'c1',
      'ip',
      '-6',
      'addr',
      'show',
      'dev',
      'eth0',
    ])
    const [, address = 'none'] = /inet6 (fd00:90:\S+)\/64/.exec(stdout) ?? []
    await expectAnswersIn(host(2), 'c2', second)
    await expectAnswersIn(host(2), 'c2', address)
  })

  it('is refused without --ipam-driver where it cannot be on all, with the command that works', async () => {
    const subnet = ['--subnet', '10.87.0.0/24']
    const command = 'docker network create -d ts-overlay --ipam-driver ts-overlay NAME'
    await host(2).docker(['network', 'create', ...subnet, 'bridge87'])
    const { member } = await host(2).pluginStatus()
    const clash = () => host(1).docker([...plain, ...subnet, 'clash'], { reject: false })
    const hears = async () =>
      (await clash()).exitCode !== 0 || remove(host(1), 'clash').then(() => false)
    await until(hears, 'the prefix of another host')
    expectRefusal(await clash(), command, `which ${member} uses`)
    await create(host(3), 'ours88', ['--subnet', '10.88.0.0/24'])
    const overlap = ['--subnet', '10.88.0.0/23', 'overlap']
    expectRefusal(
      await host(1).docker([...plain, ...overlap], { reject: false }),
      command,
      '10.88.0.0/24',
    )
  })

  it('goes from all when it is removed on one and nobody uses it', async () => {
    await create(host(1), 'gone')
    await onAll('gone')
    await remove(host(3), 'gone')
    await onNone('gone')
    await create(host(2), 'gone')
    await onAll('gone')
  })

  it('comes back where it is removed while another host uses it, and says why', async () => {
    await create(host(1), 'used')
    await onAll('used')
    const address = await start(host(3), 'used', 'c3')
    const { member } = await host(3).pluginStatus()
    await remove(host(2), 'used')
    expect(await finding(host(2), 'NETWORK_PUT_BACK', 'used')).to.contain(`in use on ${member}`)
    await expectAnswers(host(2), 'used', address)
  })

  it('comes back after a prune', async () => {
    await create(host(1), 'pruned')
    await onAll('pruned')
    await host(2).docker(['network', 'prune', '--force'])
    expect(await finding(host(2), 'NETWORK_PUT_BACK', 'pruned')).to.contain('prune')
    await onAll('pruned')
  })

  it('stays where a stopped container needs it, until that is removed', async () => {
    await create(host(1), 'needed')
    await onAll('needed')
    await start(host(2), 'needed', 'c2')
    await host(2).docker(['stop', '--time', '0', 'c2'])
    await remove(host(1), 'needed')
    await onNone('needed', [host(1), host(3)])
    expect(await finding(host(2), 'NETWORK_KEPT', 'needed')).to.contain('c2')
    await host(2).docker(['start', 'c2'])
    await host(2).docker(['rm', '--force', 'c2'])
  })

  it('does not touch another network of its name, and says so', async () => {
    await host(2).docker(['network', 'create', '--driver', 'bridge', 'taken'])
    await create(host(1), 'taken')
    await onAll('taken', [host(1), host(3)])
    expect(await finding(host(2), 'NETWORK_CLASH', 'taken')).to.contain('another network')
    await remove(host(2), 'taken')
    await until(async () => {
      const { stdout } = await host(2).docker([
        'network',
        'ls',
        '--format',
        '{{.Name}} {{.Driver}}',
      ])
      return stdout.includes('taken ts-overlay')
    }, 'the network where the other was removed')
  })

  it('is one when two hosts create it at the same moment', async () => {
    await Promise.all([create(host(1), 'twice'), create(host(3), 'twice')].map(quietly))
    await onAll('twice')
    await until(async () => {
      const shapes = await Promise.all(
        members().map((on) => shape(on, 'twice').catch(() => on.name)),
      )
      return new Set(shapes.map((one) => JSON.stringify(one))).size === 1
    }, 'one network on all')
    const address = await start(host(1), 'twice', 'c1')
    await expectAnswers(host(3), 'twice', address)
  })

  it('is on a host whose engine was away, and on one that comes later', async () => {
    await host(2).killEngine()
    await create(host(1), 'later')
    await host(1).docker([...plain, '--subnet', '10.89.0.0/24', 'later-plain'])
    await host(2).startEngine()
    await onAll('later')
    await onAll('later-plain')
    const plainAddress = await start(host(1), 'later-plain', 'c1')
    const { address } = host(1)
    await bareHost().installPlugin({ JOIN: address })
    try {
      await onAll('later', [bareHost()])
      expect((await runOnce(bareHost(), 'later', ['true'])).exitCode).to.equal(0)
      await onAll('later-plain', [bareHost()])
      await expectAnswers(bareHost(), 'later-plain', plainAddress)
      await host(1).docker(['rm', '-f', 'c1'])
      await remove(bareHost(), 'later-plain')
    } finally {
      await remove(bareHost(), 'later')
      await onNone('later')
      await bareHost().docker(['plugin', 'rm', '--force', 'ts-overlay/ts-overlay'])
    }
  })
})

function quietly(created: Promise<void>): Promise<void> {
  return created.catch(() => {})
}
