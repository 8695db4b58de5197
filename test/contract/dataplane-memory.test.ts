import { MemoryDataplane } from '../../src/dataplane/memory/memory-dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import { dataplaneContract } from './dataplane.contract.ts'

describe('the data plane in memory', () => {
  dataplaneContract(async () => {
    const dataplane = new MemoryDataplane()
    const vtep = '192.0.2.1' as Ip
    dataplane.setUnderlayMtu(null, null)
    dataplane.setUnderlayMtu(vtep, 1450)
    return {
      dataplane,
      vtep,
      underlayMtu: 1450,
      restart: async () => dataplane,
      moveEndpoint: async (_name, overlayId, endpointId, to) =>
        dataplane.moveEndpoint(overlayId, endpointId, to),
      rows: async (overlayId) => {
        const { fdb, neighbours } = dataplane.overlay(overlayId)!
        return {
          fdb: [...fdb].flatMap(([mac, vteps]) => vteps.map((vtep) => `${mac} ${vtep}`)).sort(),
          neighbours: [...neighbours].map(([ip, mac]) => `${ip} ${mac}`).sort(),
        }
      },
      addForeignDevice: async (vni) => dataplane.addForeignDevice(vni, 'vx9'),
      close: async () => {},
    }
  })
})
