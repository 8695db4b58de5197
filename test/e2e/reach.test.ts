/**
 * Containers on different hosts reach each other, from the first packet on, by either name of the
 * driver.
 */
import { expect } from 'chai'
import {
  addressOf,
  createNetwork,
  expectAnswers,
  expectAnswersIn,
  expectSilence,
  host,
  members,
  ours,
  start,
} from './cluster.ts'

describe('containers on different hosts', () => {
  it('reach each other by the short driver name', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'uber-net', [...ours, '--subnet', '10.10.0.0/16'])
    const address = await start(host(1), 'uber-net', 'c1')
    await expectAnswers(host(2), 'uber-net', address)
  })

  it("reach each other by the managed plugin's name", async () => {
    const name = 'ts-overlay/ts-overlay:latest'
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'uber-net', [
      '-d',
      name,
      '--ipam-driver',
      name,
      '--label',
      'ts-overlay.local=true',
      '--subnet',
      '10.11.0.0/16',
    ])
    const address = await start(host(1), 'uber-net', 'c1')
    await expectAnswers(host(2), 'uber-net', address)
  })

  it('get an answer to the first packet every time', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'n', [...ours, '--subnet', '10.12.0.0/16'])
    const server = await start(host(1), 'n', 'server')
    for (let round = 0; round < 5; round++) await expectAnswers(host(2), 'n', server)
    await expectAnswers(host(1), 'n', await start(host(2), 'n', 'other'))
  })

  it('reach each other in both directions, on three hosts with different engines', async () => {
    await createNetwork(members(), 'n', [...ours, '--subnet', '10.13.0.0/16'])
    const addresses = await Promise.all(members().map((on) => start(on, 'n', 'here')))
    expect(new Set(addresses).size).to.equal(3)
    for (const from of members()) {
      for (const to of addresses) await expectAnswersIn(from, 'here', to)
    }
  })

  it('carry TCP, in packets as large as the link takes', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.14.0.0/16'])
    const address = await start(host(1), 'n', 'server')
    await start(host(2), 'n', 'client')
    await host(1).docker(['exec', '-d', 'server', 'iperf3', '--server', '--one-off'])
    const command = ['exec', 'client', 'iperf3', '--json', '--time', '1', '--client', address]
    const { stdout } = await host(2).docker(command)
    const result = JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }
    expect(result.end.sum_received.bytes).to.be.greaterThan(1_000_000)
    // 1450 bytes less 28 of headers: the largest packet that needs no fragments.
    await expectAnswersIn(host(2), 'client', address, ['-M', 'do', '-s', '1422'])
  })
})

describe('two networks', () => {
  it('are isolated from each other', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'red', [...ours, '--subnet', '10.20.0.0/24'])
    await createNetwork(hosts, 'blue', [...ours, '--subnet', '10.21.0.0/24'])
    const red = await start(host(1), 'red', 'red')
    await start(host(1), 'blue', 'blue')
    await start(host(2), 'blue', 'other-blue')
    await expectAnswers(host(2), 'red', red)
    await expectSilence(host(2), 'other-blue', red)
    await expectSilence(host(1), 'blue', red)
  })

  it('may have the same subnet when they are told apart by name', async () => {
    const hosts = [host(1), host(2)]
    for (const name of ['red', 'blue']) {
      const apart = ['--ipam-opt', `overlay=${name}`, '-o', `overlay=${name}`]
      await createNetwork(hosts, name, [...ours, '--subnet', '10.22.0.0/24', ...apart])
    }
    await start(host(1), 'red', 'red', ['--ip', '10.22.0.77'])
    await start(host(2), 'blue', 'blue')
    await expectAnswers(host(2), 'red', '10.22.0.77')
    await expectSilence(host(2), 'blue', '10.22.0.77')
  })

  it('may have a container in common, which joins and leaves one while it runs', async () => {
    const hosts = [host(1), host(2)]
    await createNetwork(hosts, 'red', [...ours, '--subnet', '10.23.0.0/24'])
    await createNetwork(hosts, 'blue', [...ours, '--subnet', '10.24.0.0/24'])
    await start(host(1), 'red', 'both')
    const farRed = await start(host(2), 'red', 'far-red')
    const farBlue = await start(host(2), 'blue', 'far-blue')
    await host(1).docker(['network', 'connect', 'blue', 'both'])
    await expectAnswersIn(host(1), 'both', farBlue)
    await expectAnswersIn(host(1), 'both', farRed)
    await expectAnswersIn(host(2), 'far-blue', await addressOf(host(1), 'blue', 'both'))
    await host(1).docker(['network', 'disconnect', 'blue', 'both'])
    await expectSilence(host(1), 'both', farBlue)
    await expectAnswersIn(host(1), 'both', farRed)
  })
})
