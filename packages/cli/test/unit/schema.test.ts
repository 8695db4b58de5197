import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Ajv } from 'ajv'
import { expect } from 'chai'
import type { Command } from 'commander'
import { adminRoutes } from '../../../../src/admin/admin-routes.ts'
import { Metrics } from '../../../../src/admin/metrics.ts'
import { createLogger } from '../../../../src/base/logger.ts'
import { EngineStory } from '../../../../test/support/engine-story.ts'
import { FakeEngine } from '../../../../test/support/fake-engine.ts'
import { type LonePlugin, startLonePlugin } from '../../../../test/support/lone-plugin.ts'
import { type ServerUnderTest, startServer } from '../../../../test/support/plugin-server.ts'
import { createProgram } from '../../src/program.ts'
import { goodPing } from './diagnosis-fixture.ts'

interface Schema {
  readonly properties: Readonly<Record<string, object>>
  readonly $defs: object
}

const root = resolve(import.meta.dirname, '../../../..')
const schema = JSON.parse(readFileSync(join(root, 'docs/cli-schema.json'), 'utf8')) as Schema

/** Names of all commands that take `--json`, those of groups with the group's. */
function commandsOf(program: Command, group = ''): string[] {
  return program.commands.flatMap((command) => {
    const name = `${group}${command.name()}`
    const isJson = command.options.some(({ long }) => long === '--json')
    return [...(isJson ? [name] : []), ...commandsOf(command, `${name} `)]
  })
}

/** What a whole plugin answers is as the schema says; its actions alone are stand-ins. */
describe('the JSON of the command line', () => {
  const { logger, events } = createLogger(() => {})
  const ajv = new Ajv({ strict: true, allowUnionTypes: true })
  let lone: LonePlugin
  let subject: ServerUnderTest
  let engine: FakeEngine
  let folder: string
  let ips: string[]

  before(async () => {
    lone = await startLonePlugin()
    const { plugin } = lone
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-schema-'))
    const hostRoutes = adminRoutes({
      status: () => plugin.status(),
      events: () => events,
      views: () => plugin.views(),
      metrics: new Metrics(() => []),
      illness: () => null,
      diagnosis: {
        ping: async () => goodPing(),
        snapshots: (...asked) => plugin.diagnosis.snapshots(...asked),
        hosts: () => plugin.diagnosis.hosts(),
      },
      evict: async () => {},
      invite: async () => 'docker plugin install',
      rotateKeys: async () => 2,
      rotateWireGuard: async () => 'public',
      recover: async () => 'cluster',
      dropNetwork: async (id) => id,
      addSubnet: async () => {},
    })
    subject = await startServer({ handlers: plugin.handlers, hostRoutes })
    engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
    const story = new EngineStory(engine, '10.9.0.0/24')
    await story.createNetwork()
    for (const name of ['web', 'db']) await story.start(name)
    ips = Array.from(story.containers.values(), (address) => address.split('/')[0]!)
    logger.info('ready', { event: 'plugin-started', version: '1' })
  })

  after(async () => {
    engine.close()
    await subject.dispose()
    await lone.plugin.stop()
    await rm(folder, { recursive: true })
  })

  /** What a command prints. */
  async function printed(...words: string[]): Promise<string> {
    const write = process.stdout.write.bind(process.stdout)
    let text = ''
    process.stdout.write = (part) => {
      text += String(part)
      return true
    }
    try {
      const call = [...words, '--json', '--socket', subject.legacy]
      await createProgram().parseAsync(call, { from: 'user' })
    } finally {
      process.stdout.write = write
      process.exitCode = 0
    }
    return text
  }

  const calls: Readonly<Record<string, () => string[][]>> = {
    status: () => [[], ['--all']],
    members: () => [['--all']],
    networks: () => [[]],
    where: () => [[ips[0]!], ['nothing']],
    ping: () => [['two']],
    trace: () => [ips, ips.toReversed()],
    doctor: () => [[], ['--all']],
    diff: () => [[]],
    events: () => [[]],
    invite: () => [[]],
    evict: () => [['two', 'three']],
    recover: () => [['--force']],
    'drop-network': () => [['abc']],
    'network add-subnet': () => [['net', '10.8.0.0/24']],
    keys: () => [[]],
    'keys rotate': () => [[], ['--wireguard']],
    report: () => [['--output', join(folder, 'report.tar.gz')]],
  }

  it('has a schema for each command, and a test', () => {
    const commands = commandsOf(createProgram()).toSorted()
    expect(Object.keys(schema.properties).toSorted()).to.deep.equal(commands)
    expect(Object.keys(calls).toSorted()).to.deep.equal(commands)
  })

  for (const [command, argumentLists] of Object.entries(calls))
    it(`is as docs/cli-schema.json says: ${command}`, async () => {
      const { $defs } = schema
      const validate = ajv.compile({ $defs, ...schema.properties[command] })
      for (const words of argumentLists()) {
        const text = await printed(...command.split(' '), ...words)
        const isValid = validate(JSON.parse(text))
        expect(isValid, `${JSON.stringify(validate.errors)} in ${text}`).to.equal(true)
      }
    })
})
