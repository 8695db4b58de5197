import { expect } from 'chai'
import {
  forwardingProgram,
  mapShapes,
  portOfSource,
  portOfValue,
  portValue,
  sourceKey,
  stationKey,
  trafficOf,
} from '../../../../../src/dataplane/linux/bpf/forwarding.ts'
import type { Ip } from '../../../../../src/net/ip.ts'
import type { Mac } from '../../../../../src/net/mac.ts'

const mac = '02:42:0a:00:00:02' as Mac
const fds = { sources: 5, ports: 6, peers: 7 }

describe('the forwarding program', () => {
  it('is short, and shorter where sources are not checked', () => {
    const config = { vxlan: 3, mtu: 1450 }
    const checked = forwardingProgram({ ...config, checksSource: true }, fds)
    const unchecked = forwardingProgram({ ...config, checksSource: false }, fds)
    expect(checked.length / 8).to.be.within(unchecked.length / 8 + 1, 200)
  })

  it('has keys in which an IPv4 address is no IPv6 address', () => {
    const v4 = sourceKey(9, mac, '10.0.0.2' as Ip)
    const v6 = sourceKey(9, mac, 'a00:2::' as Ip)
    expect(v4.subarray(8, 12).equals(v6.subarray(8, 12))).to.equal(true)
    expect(v4.equals(v6)).to.equal(false)
    expect(v4).to.have.length(mapShapes.sources.keyBytes)
    expect(portOfSource(v6)).to.equal(9)
  })

  it('has a MAC address as the wire has it for a station', () => {
    expect(stationKey(mac).toString('hex')).to.equal('02420a0000020000')
  })

  it('has values with the port and counters', () => {
    const value = portValue(9)
    expect(portOfValue(value)).to.equal(9)
    expect(trafficOf(value)).to.deep.equal({ frames: 0, bytes: 0 })
    value.writeBigUInt64LE(3n, 0)
    value.writeBigUInt64LE(4500n, 8)
    expect(trafficOf(value)).to.deep.equal({ frames: 3, bytes: 4500 })
  })
})
