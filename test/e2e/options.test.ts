/** Options of networks and of containers: what they do, and how wrong ones are refused. */
import { expect } from 'chai'
import {
  createNetwork,
  expectAnswers,
  expectAnswersIn,
  expectRefusal,
  host,
  ours,
  runOnce,
  start,
} from './cluster.ts'
import { overlayKernel } from '../support/lab/overlay-kernel.ts'
import { scaled } from '../support/time.ts'

/** Reads `/sys/class/net/…` of the interface that a container has the address at. */
async function linkOf(
  index: number,
  container: string,
  address: string,
  file: string,
): Promise<string> {
  const script = `device=$(ip -o addr | grep 'inet ${address}/' | busybox awk '{print $2}'); cat /sys/class/net/$device/${file}`
  const { stdout } = await host(index).docker(['exec', container, 'sh', '-c', script])
  return stdout.trim()
}

async function createRefused(args: readonly string[]) {
  return host(1).docker(['network', 'create', ...args, 'refused'], { reject: false })
}

describe('container options', () => {
  it('--mac-address is the one that others see', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.40.0.0/24'])
    const mac = '02:aa:bb:cc:dd:01'
    const address = await start(host(1), 'n', 'c1', ['--mac-address', mac])
    expect(await linkOf(1, 'c1', address, 'address')).to.equal(mac)
    await start(host(2), 'n', 'c2')
    await expectAnswersIn(host(2), 'c2', address)
    const { stdout } = await host(2).docker(['exec', 'c2', 'ip', 'neigh'])
    expect(stdout).to.match(new RegExp(`${address} .*${mac}`))
  })
})

describe('network options', () => {
  it('-o vni= is the VNI on every host', async () => {
    await createNetwork([host(1), host(2)], 'n', [
      ...ours,
      '--subnet',
      '10.41.0.0/24',
      '-o',
      'vni=4242',
    ])
    const address = await start(host(1), 'n', 'c1')
    await expectAnswers(host(2), 'n', address)
    expect((await host(1).pluginStatus()).overlays.map(({ vni }) => vni)).to.deep.equal([4242])
    expect(await overlayKernel(host(1), 4242)).not.to.equal(undefined)
  })

  it('-o vni= of another overlay is refused, on any host, and names both', async () => {
    await createNetwork([host(1)], 'n', [...ours, '--subnet', '10.42.0.0/24', '-o', 'vni=4243'])
    const args = [...ours, '--subnet', '10.43.0.0/24', '-o', 'vni=4243']
    const { member } = await host(1).pluginStatus()
    await host(2).pluginStatusWhen(({ members }) => members.some(({ name }) => name === member))
    const refused = await host(2).docker(['network', 'create', ...args, 'm'], { reject: false })
    expectRefusal(refused, '4243', '10.42.0.0/24', '10.43.0.0/24')
  })

  it("the MTU is the underlay's less what VXLAN takes", async () => {
    await createNetwork([host(1)], 'n', [...ours, '--subnet', '10.44.0.0/24'])
    const address = await start(host(1), 'n', 'c1')
    expect(await linkOf(1, 'c1', address, 'mtu')).to.equal('1450')
  })

  it('-o com.docker.network.driver.mtu= is the MTU in the containers', async () => {
    const mtu = ['-o', 'com.docker.network.driver.mtu=1300']
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.45.0.0/24', ...mtu])
    const address = await start(host(1), 'n', 'c1')
    expect(await linkOf(1, 'c1', address, 'mtu')).to.equal('1300')
    await expectAnswers(host(2), 'n', address, ['-M', 'do', '-s', '1272'])
  })

  it('an unknown -o is refused with the list of the known ones', async () => {
    const refused = await createRefused([...ours, '--subnet', '10.46.0.0/24', '-o', 'vnl=7'])
    expectRefusal(refused, 'vnl', 'vni', 'overlay', 'com.docker.network.driver.mtu')
  })

  it('a value that makes no sense is refused', async () => {
    const subnet = ['--subnet', '10.47.0.0/24']
    expectRefusal(await createRefused([...ours, ...subnet, '-o', 'vni=16777216']), '16777216')
    const mtu = 'com.docker.network.driver.mtu'
    expectRefusal(await createRefused([...ours, ...subnet, '-o', `${mtu}=many`]), mtu, 'many')
  })

  it('a subnet that overlaps another overlay is refused', async () => {
    await createNetwork([host(2)], 'n', [...ours, '--subnet', '10.48.0.0/16'])
    const deadline = performance.now() + scaled(5000)
    // The other host's pool arrives by gossip.
    for (;;) {
      const refused = await createRefused([...ours, '--subnet', '10.48.7.0/24'])
      if (refused.exitCode === 0 && performance.now() < deadline) {
        await host(1).docker(['network', 'rm', 'refused'])
        continue
      }
      expectRefusal(refused, '10.48.7.0/24', '10.48.0.0/16')
      return
    }
  })

  it('--internal keeps the containers from everything but each other', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'n', [...ours, '--subnet', '10.49.0.0/24', '--internal'])
    const address = await start(host(1), 'n', 'c1')
    await expectAnswers(host(2), 'n', address)
    const { stdout } = await host(1).docker(['exec', 'c1', 'ip', 'route'])
    expect(stdout).not.to.contain('default')
    const ran = await runOnce(host(1), 'n', ['ping', '-c', '1', '-W', '1', host(2).address])
    expect(ran.exitCode).not.to.equal(0)
  })
})
