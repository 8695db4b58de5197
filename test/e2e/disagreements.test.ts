/**
 * What two hosts cannot both have of one overlay: refused where it is known, and told on both where
 * it is not.
 */
import { expect } from 'chai'
import { createNetwork, expectRefusal, host, ours, runOnce, start } from './cluster.ts'

describe('two hosts of one overlay', () => {
  it('with two MTUs both say which host has which', async () => {
    const subnet = [...ours, '--subnet', '10.70.0.0/24']
    for (const [i, mtu] of [
      [1, 1300],
      [2, 1200],
    ] as const)
      await createNetwork([host(i)], 'n', [...subnet, '-o', `com.docker.network.driver.mtu=${mtu}`])
    for (const [i, other, here, there] of [
      [1, 2, '1300', '1200'],
      [2, 1, '1200', '1300'],
    ] as const) {
      const { member } = await host(other).pluginStatus()
      const { disagreements } = await host(i).pluginStatusWhen(
        (status) => status.disagreements.count > 0,
      )
      expect(disagreements.list[0]).to.include({ kind: 'mtu', member, here, there })
      await host(i).pluginStatusWhen(({ problems }) =>
        problems.some(({ message }) => message.includes(`MTU ${here} here, ${there} on member`)),
      )
    }
  })

  it('never have one MAC address twice, and the refusal names the host that has it', async () => {
    const mac = ['--mac-address', '02:aa:bb:cc:dd:02']
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.71.0.0/24'])
    await start(host(1), 'n', 'c1', mac)
    const { vtep, member } = await host(1).pluginStatus()
    await host(2).pluginStatusWhen(({ overlays }) => overlays[0]?.peers.length === 1)
    const refused = await runOnce(host(2), 'n', ['true'], mac)
    expectRefusal(refused, '02:aa:bb:cc:dd:02', member, vtep, '--mac-address')
    await host(1).docker(['rm', '--force', 'c1'])
    await host(2).pluginStatusWhen(({ overlays }) => overlays[0]?.peers.length === 0)
    expect((await runOnce(host(2), 'n', ['true'], mac)).exitCode).to.equal(0)
  })
})
