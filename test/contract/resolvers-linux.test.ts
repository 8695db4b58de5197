import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { LinuxResolvers } from '../../src/dataplane/linux/resolver/linux-resolvers.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from '../netns/netns-lab.ts'
import { DnsClient, EngineResolver } from '../netns/sandbox-dns.ts'
import {
  type ResolversBench,
  engineAnswers,
  ourAnswer,
  resolversContract,
} from './resolvers.contract.ts'

let opened = 0

async function openBench(): Promise<ResolversBench> {
  const lab = await NetnsLab.create()
  const engines = new Map<string, EngineResolver>()
  const resolvers = new LinuxResolvers({
    sandboxDirectory: lab.directory,
    answer: ourAnswer,
    clock: systemClock,
    logger: silentLogger,
    processName: `${process.pid}-${++opened}`,
  })
  return {
    resolvers,
    addSandbox: async (name) => {
      const engine = new EngineResolver(await lab.namespace(name), engineAnswers)
      engines.set(name, engine)
      await engine.start()
    },
    removeSandbox: async (name) => {
      engines.get(name)?.stop()
      lab.remove(join(lab.directory, name))
    },
    ask: async (sandbox, name) => {
      const client = new DnsClient(join(lab.directory, sandbox))
      try {
        return await client.ask(name)
      } finally {
        client.close()
      }
    },
    close: async () => {
      for (const engine of engines.values()) engine.stop()
      lab.close()
    },
  }
}

describe('resolvers in a Linux kernel', function () {
  this.timeout(20_000)
  const obstacle = NetnsLab.obstacle()
  if (obstacle !== null) {
    process.stdout.write(`contract of resolvers on Linux skipped: ${obstacle}\n`)
    it('runs as root on a kernel that has what it takes')
    return
  }
  resolversContract(openBench, (condition) => until(condition, 'the resolvers'))
})
