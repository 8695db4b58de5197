import { MemoryWireGuard } from '../../src/dataplane/memory/memory-wireguard.ts'
import { wireGuardContract } from './wireguard.contract.ts'

describe('WireGuard in memory', () => {
  wireGuardContract(async () => {
    const wireGuard = new MemoryWireGuard()
    return { wireGuard, restart: async () => wireGuard, close: async () => {} }
  })
})
