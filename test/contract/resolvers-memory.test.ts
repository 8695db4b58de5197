import { decode } from 'dns-packet'
import { MemoryResolvers } from '../../src/dataplane/memory/memory-resolvers.ts'
import type { AnswerQuery } from '../../src/dataplane/resolvers.ts'
import { until } from '../support/lab/processes.ts'
import { answerOf, queryOf, textOf } from '../netns/sandbox-dns.ts'
import { engineAnswers, ourAnswer, resolversContract } from './resolvers.contract.ts'

const engine: AnswerQuery = (_source, bytes) => {
  const query = Buffer.from(bytes)
  return answerOf(
    query,
    (engineAnswers as Record<string, string>)[decode(query).questions![0]!.name]!,
  )
}

describe('resolvers in memory', () => {
  resolversContract(
    async () => {
      const resolvers = new MemoryResolvers(ourAnswer, engine)
      const path = (name: string): string => `/var/run/docker/netns/${name}`
      return {
        resolvers,
        addSandbox: async (name) => resolvers.addSandbox(path(name)),
        removeSandbox: async (name) => resolvers.removeSandbox(path(name)),
        ask: async (sandbox, name) => {
          const source = { sandbox: path(sandbox), transport: 'udp' } as const
          return textOf(decode(Buffer.from(resolvers.query(source, queryOf(name))!)))
        },
        close: async () => {},
      }
    },
    (condition) => until(condition, 'the resolvers'),
  )
})
