import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { adminRoutes } from '../../../src/admin/admin-routes.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { refusal } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { CallStatistics } from '../../../src/engine-api/call-statistics.ts'
import { PluginServer } from '../../../src/engine-api/plugin-server.ts'

const program = resolve(import.meta.dirname, '../../../src/cli.ts')

describe('cli', () => {
  let folder: string
  let server: PluginServer
  const evicted: string[][] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-cli-'))
    server = new PluginServer({
      introduction: {
        scope: 'local',
        connectivityScope: 'global',
        addressSpaces: { local: 'a', global: 'b' },
        requestReplay: false,
      },
      clock: systemClock,
      logger: silentLogger,
      calls: new CallStatistics(),
      onBug: (error) => {
        throw error
      },
      hostRoutes: adminRoutes({
        status: () => ({
          members: [
            { name: 'one', address: '192.0.2.1', state: 'alive', self: true },
            { name: 'two', address: '192.0.2.2', state: 'dead', self: false },
            { name: 'three\u001b[2J\u009b', address: '192.0.2.3', state: 'alive', self: false },
          ],
        }),
        evict: async (members, { force }) => {
          if (members.includes('four')) throw refusal('MEMBER_UNKNOWN', 'no member four')
          if (members.includes('one') && !force) throw refusal('MEMBER_ALIVE', 'one can be reached')
          evicted.push([...members])
        },
        recover: async ({ force }) => {
          if (!force) throw refusal('MEMBER_ALIVE', 'a majority still answers; two leads it')
          return 'ab.1.cd'
        },
        dropNetwork: async (id) => {
          if (id !== 'abc') throw refusal('NETWORK_NOT_FOUND', `0 networks begin with "${id}"`)
          return 'abcdef'
        },
      }),
    })
    await server.listen({ managed: null, legacy: join(folder, 's.sock') })
  })

  after(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })

  const run = (...args: string[]) =>
    execa(
      process.execPath,
      ['--conditions=source', program, '--socket', join(folder, 's.sock'), ...args],
      {
        reject: false,
      },
    )

  it('lists members', async () => {
    const { stdout, exitCode } = await run('members')
    expect(stdout.split('\n')).to.deep.equal([
      'one\t192.0.2.1\talive (this host)',
      'two\t192.0.2.2\tdead',
      'three\\u001b[2J\\u009b\t192.0.2.3\talive',
    ])
    expect(exitCode).to.equal(0)
  })

  it('prints the whole status', async () => {
    const { stdout } = await run('status')
    expect(JSON.parse(stdout)).to.have.nested.property('members[2].name', 'three\u001b[2J\u009b')
    expect(stdout).to.include('three\\u001b[2J\\u009b')
  })

  it('recovers a cluster, and says why it does not', async () => {
    const refused = await run('recover')
    expect(refused.stderr).to.include('a majority still answers; two leads it [MEMBER_ALIVE]')
    expect(refused.exitCode).to.equal(1)
    expect(await run('recover', '--force')).to.include({ stdout: 'recovered: ab.1.cd' })
  })

  it('evicts members by name, and says why it cannot', async () => {
    expect(await run('evict', 'two', 'three')).to.include({
      stdout: 'evicted: two, three',
      exitCode: 0,
    })
    expect(await run('evict', 'one')).to.include({
      stderr: 'ts-overlay: one can be reached [MEMBER_ALIVE]',
      exitCode: 1,
    })
    expect(await run('evict', '--force', 'one')).to.include({ exitCode: 0 })
    expect(evicted).to.deep.equal([['two', 'three'], ['one']])
    expect(await run('evict', 'four')).to.include({
      stderr: 'ts-overlay: no member four [MEMBER_UNKNOWN]',
      exitCode: 1,
    })
  })

  it('answers with 404 for a member that the cluster does not have, 409 for a living one', async () => {
    const statusOf = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const socketPath = join(folder, 's.sock')
        const call = request({ socketPath, method: 'DELETE', path }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        call.on('error', reject).end()
      })
    expect(await statusOf('/members/four')).to.equal(404)
    expect(await statusOf('/members/one')).to.equal(409)
  })

  it('removes a network that the engine does not have, and says why it cannot', async () => {
    expect(await run('drop-network', 'abc')).to.include({ stdout: 'removed: abc', exitCode: 0 })
    const refused = await run('drop-network', 'x/y')
    expect(refused).to.include({
      stderr: 'ts-overlay: 0 networks begin with "x/y" [NETWORK_NOT_FOUND]',
      exitCode: 1,
    })
  })

  it('says how it is used, and what is wrong when there is no plugin', async () => {
    expect(await run('frobnicate')).to.include({ exitCode: 2 })
    const nowhere = await execa(
      process.execPath,
      ['--conditions=source', program, '--socket', join(folder, 'none.sock'), 'status'],
      { reject: false },
    )
    expect(nowhere.stderr).to.match(/none\.sock.*is the plugin enabled/)
  })
})
