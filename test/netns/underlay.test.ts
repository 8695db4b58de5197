import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import { LabUnderlay, type LabHost } from './lab-host.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()

describe('the MTU of an underlay where the VTEP is an address of the loopback link', function () {
  this.timeout(30_000)
  let lab: NetnsLab
  let host: LabHost
  let dataplane: LinuxDataplane
  let warnings: string[]
  const vteps = ['10.255.0.1', 'fd00:255::1'] as Ip[]

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`MTU of an underlay skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    host = await (await LabUnderlay.create(lab)).addHost(1400)
    for (const vtep of vteps) await ip('addr', 'add', vtep, 'dev', 'lo')
    warnings = []
    const warn = (message: string): unknown => warnings.push(message)
    const { directory, netns: hostNetns } = host
    dataplane = new LinuxDataplane({ directory, hostNetns, logger: { ...silentLogger, warn } })
    await dataplane.start()
  })
  afterEach(async () => {
    await dataplane.close()
    await host.close()
    lab.close()
  })

  const ip = (...args: string[]): Promise<string> => lab.run(host.netns, 'ip', ...args)
  const mtus = (): Promise<number[]> =>
    Promise.all(vteps.map((vtep) => dataplane.underlayMtu(vtep)))

  it("is that of the default route's link", async () => {
    await ip('route', 'add', 'default', 'via', '192.168.200.9')
    await ip('route', 'add', 'default', 'via', 'fd00:200::9')
    expect(await mtus()).to.deep.equal([1400, 1400])
    expect(warnings).to.deep.equal([])
  })

  it('is taken for 1500 where there is no such route, and MTU asked for, once', async () => {
    await ip('route', 'add', 'blackhole', 'default')
    for (let n = 0; n < 2; n++) expect(await mtus()).to.deep.equal([1500, 1500])
    expect(warnings).to.have.length(2)
    expect(warnings[0]).to.include('10.255.0.1').and.include('set MTU')
  })
})
