/** Encrypted networks on a kernel that has no WireGuard: refused by name and reason, never plain. */
import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import type { Network } from '../../src/driver/network-store.ts'
import { FileStore } from '../../src/store/file-store.ts'
import { withoutWireGuard } from '../kernels/without-wireguard.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { type PluginHost, PluginHosts } from './plugin-hosts.ts'
import { UnderlayCapture, clearMark } from './underlay-capture.ts'

const reason = 'encrypted networks need WireGuard, which this kernel does not have'

describe('on a kernel without WireGuard', function () {
  this.timeout(120_000)
  let all: PluginHosts
  let capture: UnderlayCapture

  before(function () {
    const obstacle = NetnsLab.obstacle()
    if (obstacle === null && withoutWireGuard() !== null) return
    process.stdout.write(`a kernel without WireGuard skipped: ${obstacle ?? 'this one has it'}\n`)
    this.skip()
  })
  beforeEach(async () => {
    all = await PluginHosts.create(2, '10.93.0.0/24', { ENGINE_API: 'off' })
    capture = new UnderlayCapture(all.underlay)
  })
  afterEach(async () => {
    capture.close()
    await all.close()
  })

  const refusalOf = (work: Promise<unknown>): Promise<string> =>
    work.then(() => 'not refused', String)

  it('an encrypted network is refused, and nothing of it is left', async () => {
    const [{ story, plugin }] = all.hosts as [PluginHost]
    expect(await refusalOf(story.createNetwork({ encrypted: '' })))
      .to.contain(reason)
      .and.contain('modprobe')
    expect((await plugin.status()).overlays).to.deep.equal([])
  })

  it('one that was made under another kernel carries nothing, and a finding says why', async () => {
    const containers: { netns: string; ip: string }[] = []
    for (const host of all.hosts) {
      await host.story.createNetwork()
      containers.push(await all.container(host, `c-${host.name}`))
    }
    const marked = ['ping', '-c', '2', '-W', '5', '-p', clearMark.toString('hex')]
    await all.run(containers[0]!.netns, ...marked, containers[1]!.ip)
    expect((await capture.take()).clear.length, 'frames of a plain network').to.be.greaterThan(0)

    for (const host of all.hosts) {
      await host.close()
      await markEncrypted(host)
    }
    await capture.take()
    for (const host of all.hosts) await host.start(host === all.hosts[0] ? '' : '192.0.2.1')
    await all.together()
    for (const { plugin, story } of all.hosts) {
      const texts = async (): Promise<string> =>
        (await plugin.status()).findings.list.map(({ code, text }) => `${code}: ${text}`).join('\n')
      await until(async () => (await texts()).includes('WIREGUARD_OFF'), 'the finding')
      expect(await texts()).to.contain(reason)
      expect(await refusalOf(story.start('another'))).to.contain('no WireGuard device')
    }
    expect((await capture.take()).clear).to.deep.equal([])
  })
})

/** Writes into the store of a plugin that does not run. */
async function markEncrypted({ stateDir }: PluginHost): Promise<void> {
  const store = await FileStore.open(`${stateDir}/store`, { logger: silentLogger })
  for (const [key, network] of store.entries<Network>('networks'))
    await store.write([{ table: 'networks', key, value: { ...network, encrypted: true } }])
  await store.close()
}
