/**
 * The plugin as a user installs it: through a registry, with settings on the command line, and with
 * wrong ones.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { execa } from 'execa'
import { digestOf } from '../../plugin/provenance.ts'
import { labToken, pluginName } from '../support/lab/host.ts'
import { guest, projectDir } from '../support/lab/paths.ts'
import { registryAddress } from '../support/lab/registry.ts'
import {
  bareHost,
  createNetwork,
  expectAnswers,
  expectRefusal,
  host,
  ours,
  start,
} from './cluster.ts'
import { leftovers, removeEverything } from './leftovers.ts'

const reference = `${registryAddress}/ts-overlay/ts-overlay:1.0`

interface PluginJson {
  readonly Enabled: boolean
  readonly Config: { readonly Interface: { readonly Types: readonly unknown[] } }
  readonly Settings: { readonly Env: readonly string[] }
}

/** Of CycloneDX 1.6, what the build writes of it. */
interface BillOfMaterials {
  readonly bomFormat: string
  readonly specVersion: string
  readonly metadata: { readonly component: { readonly purl: string } }
  readonly components: readonly {
    readonly type: string
    readonly name: string
    readonly version?: string
    readonly purl?: string
    readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
    readonly properties?: readonly { readonly name: string; readonly value: string }[]
    readonly externalReferences?: readonly { readonly type: string; readonly url: string }[]
  }[]
}

const billFile = 'usr/share/sbom/ts-overlay.cdx.json'

describe('the plugin', () => {
  it('has a bill of materials with each file, and the licence and source of each package', async () => {
    const root = `${projectDir}/build/plugin/rootfs`
    const entries = await readdir(root, { recursive: true, withFileTypes: true })
    const files = entries
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => path.relative(root, path.join(parentPath, name)))
    expect(files).to.include.members([billFile, 'app/main.cjs', 'usr/bin/node'])
    const bill = JSON.parse(await readFile(`${root}/${billFile}`, 'utf8')) as BillOfMaterials
    expect([bill.bomFormat, bill.specVersion]).to.deep.equal(['CycloneDX', '1.6'])
    const listed = bill.components.filter(({ type }) => type === 'file')
    const paths = listed.map(({ name }) => name.slice(1))
    expect(paths).to.have.members(files.filter((file) => file !== billFile))
    const packages = bill.components.filter(({ type }) => type === 'library')
    const purls = [bill.metadata.component.purl, ...packages.map(({ purl }) => purl)]
    const named = new Set<string>()
    for (const { name, hashes, properties } of listed) {
      const content = createHash('sha256')
        .update(await readFile(`${root}/${name}`))
        .digest('hex')
      expect(hashes, name).to.deep.equal([{ alg: 'SHA-256', content }])
      const origins = properties!.map(({ value }) => value)
      expect(origins.length, name).to.be.above(0)
      expect(purls, name).to.include.members(origins)
      for (const origin of origins) named.add(origin)
    }
    expect([...named]).to.have.members(purls)
    const sources = await readFile(`${root}/usr/share/licenses/SOURCES`, 'utf8')
    for (const { name, version, externalReferences } of packages) {
      const [source] = externalReferences!
      expect(sources).to.contain(`${name} ${version}\n    ${source!.url}\n`)
      const licences = files.filter((file) => file.startsWith(`usr/share/licenses/${name}/`))
      expect(licences.length, name).to.be.above(0)
    }
  })

  it('is built twice, at other times and with another umask, with one digest', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'ts-overlay-build-'))
    try {
      const build = `umask 077; exec node --conditions=source plugin/build.ts --out ${folder}/plugin`
      await execa('sh', ['-c', build], { cwd: projectDir })
      expect(digestOf(`${folder}/plugin`)).to.equal(digestOf(`${projectDir}/build/plugin`))
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('is pushed to a registry, installed from it with settings, and joins the cluster', async () => {
    const on = bareHost()
    await on.docker(['plugin', 'create', reference, `${guest.project}/build/plugin`])
    await on.docker(['plugin', 'push', reference])
    await on.docker(['plugin', 'rm', reference])
    const settings = [`JOIN=${host(1).address}`, `TOKEN=${labToken}`, 'MEMBER_NAME=installed']
    const install = ['plugin', 'install', '--grant-all-permissions', reference, ...settings]
    await on.docker(install)
    const { stdout } = await on.docker(['plugin', 'inspect', reference])
    const [inspected] = JSON.parse(stdout) as PluginJson[]
    expect(inspected!.Enabled).to.equal(true)
    expect(inspected!.Settings.Env).to.include.members(settings)
    await host(1).pluginStatusWhen(({ members }) =>
      members.some(({ name, state }) => name === 'installed' && state === 'alive'),
    )
    await createNetwork([host(1), on], 'n', [...ours, '--subnet', '10.80.0.0/24'])
    await expectAnswers(on, 'n', await start(host(1), 'n', 'c1'))
    await removeEverything([host(1), on])
    expect(await leftovers([on])).to.deep.equal([])
  })

  it('has no more rights than it needs, in any thread', async () => {
    const on = bareHost()
    const pid = await on.pluginPid(reference)
    const threads = await on.exec(['sh', '-c', `cat /proc/${pid}/task/*/status`])
    const field = (name: string): string[] => [
      ...new Set(threads.stdout.match(new RegExp(`^${name}:.*`, 'gm'))),
    ]
    // NET_BIND_SERVICE, NET_ADMIN, SYS_ADMIN.
    for (const set of ['CapPrm', 'CapEff', 'CapBnd'])
      expect(field(set)).to.deep.equal([`${set}:\t0000000000201400`])
    for (const set of ['CapInh', 'CapAmb'])
      expect(field(set)).to.deep.equal([`${set}:\t0000000000000000`])
    expect(field('NoNewPrivs')).to.deep.equal(['NoNewPrivs:\t1'])
    expect(field('Seccomp')).to.deep.equal(['Seccomp:\t2'])
    const limits = await on.exec(['cat', `/proc/${pid}/limits`])
    expect(limits.stdout).to.match(/^Max data size +1073741824 /m)
  })

  it("reaches the engine's API and no other socket of the host", async () => {
    const on = bareHost()
    const root = `/proc/${await on.pluginPid(reference)}/root`
    const api = [
      'docker',
      '--host',
      `unix://${root}/host-docker/docker.sock`,
      'network',
      'ls',
      '-q',
    ]
    expect((await on.exec(api)).stdout).to.match(/^[0-9a-f]{12}$/m)
    const folders = ['host-run', 'host-docker', 'host-plugins', 'run'].map(
      (name) => `${root}/${name}`,
    )
    // The type in a folder is that of the file below a mount.
    const found = await on.exec(['find', ...folders, '-exec', 'test', '-S', '{}', ';', '-print'])
    const id = await on.pluginId(reference)
    const sockets = found.stdout
      .replaceAll(root, '')
      .replace(/(lock)-\w+/, '$1')
      .trim()
      .split('\n')
    expect(sockets).to.have.members([
      '/host-docker/docker.sock',
      `/host-plugins/${id}/ts-overlay.sock`,
      '/host-plugins/ts-overlay.lock',
      '/host-plugins/ts-overlay.sock',
      '/run/docker/plugins/ts-overlay.sock',
    ])
    expect((await on.exec(['ls', '-A', `${root}/host-run`])).stdout).to.equal('')
  })

  it("has a command line that is a plugin of Docker's, as docs/cli.md copies it", async () => {
    const on = bareHost()
    const doc = await readFile(`${projectDir}/docs/cli.md`, 'utf8')
    const lines = doc.match(/(?<=^ {4})(?:app=|sudo install ).*/gm)!
    expect(lines).to.have.length(2)
    const script = lines.join('\n').replaceAll('sudo ', '').replace(pluginName, reference)
    await on.exec(['sh', '-ec', script])
    const { stdout } = await on.docker(['tsoverlay', 'status'])
    expect(stdout).to.match(/^OK on installed/)
    expect((await on.exec(['ts-overlay', 'status'])).stdout).to.match(/^OK on installed/)
    expect((await on.docker(['tsoverlay', 'invite'])).stdout).to.include(`install ${reference} `)
    const nonsense = await on.docker(['tsoverlay', 'nonsense'], { reject: false })
    expect(nonsense.exitCode).to.equal(2)
    const completed = await on.docker(['__complete', 'tsoverlay', 'ping', ''])
    expect(completed.stdout).to.include('host1')
    expect((await on.docker(['help', 'tsoverlay'])).stdout).to.include('trace')
  })

  it('shows the token where the user put it, and nowhere else', async () => {
    const on = bareHost()
    const { stdout } = await on.docker(['plugin', 'inspect', reference])
    expect(stdout.split(labToken)).to.have.length(2)
    expect(stdout).to.contain(`"TOKEN=${labToken}"`)
    const status = JSON.stringify(await on.pluginStatus())
    for (const shown of [status, await on.logs()]) {
      expect(shown).to.not.contain(labToken)
      expect(shown).to.not.match(/PRIVATE KEY/)
    }
  })

  it('leaves the cluster when it is disabled', async () => {
    await bareHost().docker(['plugin', 'disable', reference])
    await host(1).pluginStatusWhen(
      ({ members }) =>
        !members.some(({ name, state }) => name === 'installed' && state === 'alive'),
    )
  })

  it('cannot be enabled with a wrong setting, and the reason is in the log of the engine', async () => {
    await bareHost().docker(['plugin', 'set', reference, 'POOLS=10.0.0.0'])
    const enabled = await bareHost().docker(['plugin', 'enable', reference], { reject: false })
    expectRefusal(enabled)
    const log = await bareHost().logs()
    expect(log).to.match(/POOLS.*10\.0\.0\.0/)
  })

  it('is started once when the right setting follows', async () => {
    const starts = async (): Promise<number> =>
      (await bareHost().logs()).match(/info main: ready/g)?.length ?? 0
    const before = await starts()
    await bareHost().docker(['plugin', 'set', reference, 'POOLS=10.128.0.0/9:24'])
    await bareHost().docker(['plugin', 'enable', reference])
    // The restarts of a bad one that had ended by itself came every second or two.
    await sleep(15_000)
    expect((await starts()) - before).to.equal(1)
    await bareHost().docker(['plugin', 'disable', reference])
    await bareHost().docker(['plugin', 'rm', reference])
  })
})
