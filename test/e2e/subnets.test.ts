/** Networks with several subnets, with both families, and with IPv6 alone. */
import { expect } from 'chai'
import type { Host } from '../support/lab/host.ts'
import { labImage } from '../support/lab/image.ts'
import { until } from '../support/lab/processes.ts'
import {
  addressOf,
  everywhere,
  expectAnswersIn,
  expectRefusal,
  host,
  members,
  runOnce,
  start,
} from './cluster.ts'

const subnet = (...texts: string[]): string[] => texts.flatMap((text) => ['--subnet', text])

/** Creates a network on the first host, and waits until it is on these. */
async function create(hosts: readonly Host[], name: string, args: readonly string[]) {
  await host(1).docker(['network', 'create', ...everywhere, ...args, name])
  for (const on of hosts) {
    const words = ['network', 'ls', '-q', '--filter', `name=^${name}$`]
    const isThere = async (): Promise<boolean> => (await on.docker(words)).stdout !== ''
    await until(isThere, `${on.name}: network ${name}`)
  }
}

async function ipv6Of(on: Host, network: string, container: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").GlobalIPv6Address}}`
  return (await on.docker(['inspect', '--format', format, container])).stdout.trim()
}

describe('a network with several subnets', () => {
  it('goes on in the next when one is full, and routes between all of both families', async () => {
    const ipv4 = subnet('10.71.0.0/30', '10.72.0.0/30')
    const ipv6 = ['--ipv6', ...subnet('fd00:71::/64', 'fd00:72::/64')]
    await create(members(), 'n', [...ipv4, ...ipv6])
    const first = await start(host(1), 'n', 'c1', ['--ip6', 'fd00:71::7'])
    const second = await start(host(2), 'n', 'c2', ['--ip6', 'fd00:72::7'])
    expect([first, second].sort()).to.deep.equal(['10.71.0.2', '10.72.0.2'])
    for (const [on, name, addresses] of [
      [host(1), 'c1', [second, 'fd00:72::7']],
      [host(2), 'c2', [first, 'fd00:71::7']],
    ] as const)
      for (const address of addresses) await expectAnswersIn(on, name, address)
    const full = ['run', '--rm', '--network', 'n', labImage, 'true']
    expectRefusal(await host(3).docker(full, { reject: false }), 'no free address', '10.7')
    // The engine releases the address under the pool that it asked for.
    await host(1).docker(['rm', '-f', 'c1'])
    const free = async (): Promise<boolean> =>
      (
        await host(3).docker(
          ['run', '-d', '--name', 'c3', '--network', 'n', labImage, 'sleep', '99'],
          {
            reject: false,
          },
        )
      ).exitCode === 0 || (await host(3).docker(['rm', '-f', 'c3'])) === null
    await until(free, 'the address of c1 to be free', 30_000, 200)
    expect(await addressOf(host(3), 'n', 'c3')).to.equal(first)
    await expectAnswersIn(host(3), 'c3', second)
    await expectAnswersIn(host(2), 'c2', await ipv6Of(host(3), 'n', 'c3'))
  })

  it('gives --ip and --ip6 of any of them, and egress as with one', async () => {
    const subnets = subnet('10.73.0.0/24', '10.74.0.0/24', '10.75.0.0/24')
    await create(members(), 'n', subnets)
    const wanted = ['10.75.0.75', '10.74.0.74', '10.73.0.73']
    for (const [n, on] of members().entries())
      expect(await start(on, 'n', `c${n}`, ['--ip', wanted[n]!])).to.equal(wanted[n])
    for (const [n, on] of members().entries()) {
      for (const address of wanted) await expectAnswersIn(on, `c${n}`, address)
      const { stdout } = await on.docker(['exec', `c${n}`, 'ip', 'route'])
      expect(stdout).to.match(/^default via 172\./m)
    }
  })
})

describe('a network that grows', () => {
  it('gets another subnet on all hosts, which containers from before reach, and by name', async () => {
    await create(members(), 'n', subnet('10.77.0.0/30'))
    const first = await start(host(1), 'n', 'c1')
    expect(first).to.equal('10.77.0.2')
    const added = await host(2).pluginCall('POST', '/networks/n/subnets?subnet=10.78.0.0%2F24')
    expect(added.status, JSON.stringify(added.body)).to.equal(200)
    const hasBoth = ({ overlays }: Awaited<ReturnType<Host['pluginStatus']>>): boolean =>
      overlays.some(({ pools }) => pools.length === 2)
    for (const on of members()) await on.pluginStatusWhen(hasBoth)
    for (const [n, on] of members().entries()) {
      // The engine knows nothing of that subnet, and takes its address.
      const address = await start(on, 'n', `d${n}`)
      expect(address, on.name).to.match(/^10\.78\.0\./)
      await expectAnswersIn(host(1), 'c1', address)
      await expectAnswersIn(on, `d${n}`, first)
    }
    const { stdout } = await host(2).docker(['exec', 'd1', 'getent', 'hosts', 'c1'])
    expect(stdout).to.match(/^10\.77\.0\.2 /)
    expect((await host(3).pluginStatus()).findings.list).to.deep.equal([])
  })
})

describe('a network of IPv6 alone', () => {
  it('has addresses, names and the first packet across hosts', async function () {
    const version = ['version', '--format', '{{.Server.Version}}']
    const hosts: Host[] = []
    for (const on of members())
      if (parseInt((await on.docker(version)).stdout) >= 28) hosts.push(on)
    // Engines before 28 have no --ipv4=false, so a mixed lab has too few.
    if (hosts.length < 2) this.skip()
    const [one, two] = hosts as [Host, Host]
    await create(hosts, 'n', ['--ipv4=false', '--ipv6', ...subnet('fd00:76::/64')])
    for (const [on, name] of [
      [one, 'web'],
      [two, 'client'],
    ] as const)
      expect(await start(on, 'n', name)).to.equal('')
    const address = await ipv6Of(one, 'n', 'web')
    expect(address).to.match(/^fd00:76::/)
    await expectAnswersIn(two, 'client', address)
    const named = async (): Promise<boolean> => {
      const { stdout } = await two.docker(['exec', 'client', 'getent', 'ahostsv6', 'web'], {
        reject: false,
      })
      return stdout.startsWith(`${address} `)
    }
    await until(named, 'the name of web', 20_000, 50)
    const ran = await runOnce(two, 'n', ['ping', '-6', '-c', '1', '-W', '10', address])
    expect(ran.stdout).to.contain('1 received')
  })
})
