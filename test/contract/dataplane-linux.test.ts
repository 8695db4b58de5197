import { join } from 'node:path'
import { silentLogger } from '../../src/base/logger.ts'
import { LinuxDataplane } from '../../src/dataplane/linux/linux-dataplane.ts'
import { pinName } from '../../src/dataplane/linux/netlink/names.ts'
import type { Ip } from '../../src/net/ip.ts'
import { NetnsLab } from '../netns/netns-lab.ts'
import { type DataplaneBench, dataplaneContract } from './dataplane.contract.ts'

async function openBench(fastPath: boolean): Promise<DataplaneBench> {
  const lab = await NetnsLab.create()
  const [host, container] = [await lab.namespace('host'), await lab.namespace('container')]
  const vtep = '192.0.2.1' as Ip
  await lab.run(host, 'ip', 'link', 'add', 'eth0', 'mtu', '1450', 'type', 'veth', 'peer', 'eth1')
  await lab.run(host, 'ip', 'addr', 'add', `${vtep}/24`, 'dev', 'eth0')
  const directory = lab.folder('pins')
  const options = { directory, logger: silentLogger, hostNetns: host, fastPath }
  const opened = [new LinuxDataplane(options)]
  const pinOf = (overlayId: string): string => join(directory, pinName(overlayId))
  return {
    dataplane: opened[0]!,
    vtep,
    underlayMtu: 1450,
    restart: async () => {
      const next = new LinuxDataplane(options)
      opened.push(next)
      await next.start()
      return next
    },
    moveEndpoint: async (name, _overlayId, _endpointId, to) => {
      const [from, into] = to === 'sandbox' ? [host, container] : [container, host]
      await lab.run(from, 'ip', 'link', 'set', name, 'netns', into)
    },
    rows: async (overlayId) => {
      const pin = pinOf(overlayId)
      const fdb = await lab.json(pin, 'bridge', 'fdb', 'show', 'dev', 'vxlan0')
      const neighbours = await lab.json(pin, 'ip', 'neigh', 'show', 'nud', 'permanent')
      return {
        fdb: fdb.flatMap(({ mac, dst }) => (dst === undefined ? [] : [`${mac} ${dst}`])).sort(),
        neighbours: neighbours.map((row) => `${row.dst ?? ''} ${row.lladdr}`).sort(),
      }
    },
    addForeignDevice: async (vni) => {
      const type = ['type', 'vxlan', 'id', String(vni), 'dstport', '4789']
      await lab.run(host, 'ip', 'link', 'add', 'vx9', ...type)
    },
    close: async () => {
      for (const dataplane of opened) await dataplane.close()
      lab.close()
    },
  }
}

for (const fastPath of [true, false])
  describe(`the data plane in a Linux kernel, ${fastPath ? 'past' : 'by'} the bridge`, function () {
    this.timeout(20_000)
    const obstacle = NetnsLab.obstacle()
    if (obstacle !== null) {
      process.stdout.write(`data plane contract on Linux skipped: ${obstacle}\n`)
      it('runs as root on a kernel that has what it takes')
      return
    }
    dataplaneContract(() => openBench(fastPath))
  })
