/** Addresses: who gets which, that nobody gets one twice, and what users may ask for. */
import { expect } from 'chai'
import {
  addressOf,
  createNetwork,
  expectAnswers,
  expectAnswersIn,
  expectRefusal,
  host,
  members,
  ours,
  runOnce,
  start,
} from './cluster.ts'

interface NetworkJson {
  readonly IPAM: {
    readonly Config: readonly { readonly Subnet: string; readonly Gateway?: string }[]
  }
}

async function inspectIpam(
  index: number,
  network: string,
): Promise<{ subnet: string; gateway?: string }> {
  const { stdout } = await host(index).docker(['network', 'inspect', network])
  const [inspected] = JSON.parse(stdout) as NetworkJson[]
  const { Subnet, Gateway } = inspected!.IPAM.Config[0]!
  return { subnet: Subnet, ...(Gateway === undefined ? {} : { gateway: Gateway }) }
}

describe('addresses of our own management', () => {
  it('are unique across hosts that start containers at the same time', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.30.0.0/16'])
    const starts = members().flatMap((on) =>
      [1, 2, 3, 4].map((number) => start(on, 'n', `c${number}`)),
    )
    const addresses = await Promise.all(starts)
    expect(new Set(addresses).size, addresses.join(' ')).to.equal(starts.length)
  })

  it('come from a subnet that no other overlay has, when none is given', async () => {
    await host(1).docker(['network', 'create', ...ours, 'one'])
    await host(2).docker(['network', 'create', ...ours, 'two'])
    await host(3).docker(['network', 'create', ...ours, 'three'])
    const subnets = [
      (await inspectIpam(1, 'one')).subnet,
      (await inspectIpam(2, 'two')).subnet,
      (await inspectIpam(3, 'three')).subnet,
    ]
    expect(new Set(subnets).size, subnets.join(' ')).to.equal(3)
    for (const subnet of subnets)
      expect(subnet).to.match(/^10\.(12[89]|1[3-9]\d|2\d\d)\.\d+\.0\/24$/)
    // Another host joins the first by naming its subnet.
    await createNetwork([host(2)], 'one', [...ours, '--subnet', subnets[0]!])
    await expectAnswers(host(2), 'one', await start(host(1), 'one', 'c1'))
  })

  it('can be chosen with --ip on any host', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.31.0.0/16'])
    expect(await start(host(1), 'n', 'one', ['--ip', '10.31.200.7'])).to.equal('10.31.200.7')
    expect(await start(host(2), 'n', 'two', ['--ip', '10.31.200.8'])).to.equal('10.31.200.8')
    await expectAnswers(host(2), 'n', '10.31.200.7')
  })

  it('are refused when another host has them, with the name of the holder', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.32.0.0/16'])
    await start(host(1), 'n', 'holder', ['--ip', '10.32.0.99'])
    const { member } = await host(1).pluginStatus()
    const refused = await runOnce(host(2), 'n', ['true'], ['--ip', '10.32.0.99'])
    expectRefusal(refused, '10.32.0.99', member)
  })

  it('can be taken again once they are free', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.33.0.0/16'])
    await start(host(1), 'n', 'one', ['--ip', '10.33.0.50'])
    await host(1).docker(['rm', '-f', 'one'])
    expect(await start(host(2), 'n', 'two', ['--ip', '10.33.0.50'])).to.equal('10.33.0.50')
    await expectAnswers(host(1), 'n', '10.33.0.50')
  })

  it('are kept by docker restart, on every engine', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.35.0.0/16'])
    for (const on of members()) {
      await start(on, 'n', 'before')
      const address = await start(on, 'n', 'web')
      await start(on, 'n', 'after')
      for (let round = 0; round < 2; round++) {
        await on.docker(['restart', '-t', '0', 'web'])
        expect(await addressOf(on, 'n', 'web'), on.name).to.equal(address)
      }
      await expectAnswers(on === host(1) ? host(2) : host(1), 'n', address)
    }
  })

  it('stay within --ip-range on every host', async () => {
    const range = ['--subnet', '10.34.0.0/16', '--ip-range', '10.34.5.0/24']
    await createNetwork([host(1), host(2)], 'n', [...ours, ...range])
    const addresses = [await start(host(1), 'n', 'one'), await start(host(2), 'n', 'two')]
    for (const address of addresses) expect(address).to.match(/^10\.34\.5\.\d+$/)
    expect(addresses[0]).not.to.equal(addresses[1])
    await expectAnswers(host(2), 'n', addresses[0]!)
  })

  it('leave out --gateway and --aux-address', async () => {
    // Four addresses: one is the gateway, two are kept free, one is left.
    const subnet = ['--subnet', '10.35.0.0/29', '--gateway', '10.35.0.3']
    const kept = ['1', '2', '4', '6'].flatMap((last) => [
      '--aux-address',
      `kept${last}=10.35.0.${last}`,
    ])
    await createNetwork([host(1)], 'n', [...ours, ...subnet, ...kept])
    expect((await inspectIpam(1, 'n')).gateway).to.equal('10.35.0.3')
    expect(await start(host(1), 'n', 'only')).to.equal('10.35.0.5')
    expectRefusal(await runOnce(host(1), 'n', ['true']), '10.35.0.0/29')
  })
})

describe("addresses of Docker's own management", () => {
  it('are refused when another host has them, with the name of the holder and a remedy', async () => {
    const docker = ['-d', 'ts-overlay', '-o', 'overlay=shared', '--subnet', '10.36.0.0/24']
    await createNetwork([host(1), host(2)], 'n', docker)
    const taken = await start(host(1), 'n', 'first')
    const { member } = await host(1).pluginStatus()
    // Docker on each host counts from the same beginning.
    expectRefusal(await runOnce(host(2), 'n', ['true']), taken, member, /--ip/)
    expect(await start(host(2), 'n', 'second', ['--ip', '10.36.0.77'])).to.equal('10.36.0.77')
    await expectAnswersIn(host(2), 'second', taken)
  })
})
