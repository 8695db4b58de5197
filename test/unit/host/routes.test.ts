import { expect } from 'chai'
import { defaultDevice, parseRoutes } from '../../../src/host/routes.ts'

const heading =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'
const row = (device: string, destination: string, flags: string, metric: number, mask: string) =>
  `${device}\t${destination}\t0100000A\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0`

describe('host', () => {
  it('finds the device of the best default route that is up', () => {
    const table = [
      heading,
      row('eth1', '00000000', '0003', 200, '00000000'),
      row('eth2', '00000000', '0000', 1, '00000000'),
      row('eth0', '00000000', '0003', 100, '00000000'),
      row('eth3', '0000000A', '0001', 0, '00FFFFFF'),
      row('tun0', '00000000', '0001', 0, '00000080'),
      '',
    ].join('\n')
    expect(defaultDevice(table)).to.equal('eth0')
    expect(defaultDevice(`${heading}\n`)).to.equal(null)
    expect(defaultDevice('')).to.equal(null)
  })

  it('reads prefixes, which the kernel writes in the byte order of the machine', () => {
    const table = [
      heading,
      row('eth3', '0000000A', '0001', 0, '000000FF'),
      row('eth0', '00C8A8C0', '0001', 5, '00FFFFFF'),
    ].join('\n')
    expect(parseRoutes(table)).to.deep.equal([
      { device: 'eth3', destination: '10.0.0.0/8', metric: 0 },
      { device: 'eth0', destination: '192.168.200.0/24', metric: 5 },
    ])
  })
})
