import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { EngineStory } from '../support/engine-story.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { until } from '../support/lab/processes.ts'
import { type Program, PluginProcess, bundleProgram } from '../support/plugin-process.ts'
import { encodeRecord } from '../../src/store/record.ts'
import { NetnsLab } from './netns-lab.ts'

/*
 * The real plugin, as the process that the engine starts: what it does when the network is not
 * there yet, the other hosts are away, the disk is full or what is on it cannot be read.
 */

const obstacle = NetnsLab.obstacle()
/** Small enough to be filled at once, large enough for an empty store. */
const diskBytes = 512 * 1024

describe('a plugin that starts', function () {
  this.timeout(60_000)
  let lab: NetnsLab
  let program: Program
  let netns: string
  let folder: string
  let plugin: PluginProcess | null
  const env = { ADVERTISE_ADDR: '192.0.2.1', ORPHAN_AFTER: '5s' }

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`starting the plugin skipped: ${obstacle}\n`)
      this.skip()
    }
    program = await bundleProgram()
  })

  beforeEach(async () => {
    lab = await NetnsLab.create()
    netns = await lab.namespace('host')
    await lab.run(netns, 'ip', 'link', 'add', 'eth0', 'type', 'bridge')
    await lab.run(netns, 'ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0')
    await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'up')
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-host-'))
    plugin = null
  })
  afterEach(async () => {
    await plugin?.end('SIGKILL')
    lab.close()
    await rm(folder, { recursive: true })
  })

  async function start(more: Record<string, string> = {}, disk?: number): Promise<PluginProcess> {
    const options = { program, netns, folder, env: { ...env, ...more } }
    plugin = await PluginProcess.start(
      disk === undefined ? options : { ...options, diskBytes: disk },
    )
    return plugin
  }
  /** Kills it and starts it again. */
  async function restart(more: Record<string, string> = {}): Promise<PluginProcess> {
    await plugin!.end('SIGKILL')
    return start(more)
  }
  const engineOf = ({ managed }: PluginProcess): FakeEngine =>
    new FakeEngine({ socket: managed, version: '28.5.2' })
  const messageOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'succeeded',
      (error: Error) => error.message,
    )

  it('has its networks and endpoints again, with seeds that do not exist', async () => {
    const first = await start()
    const engine = engineOf(first)
    for (let n = 0; n < 20; n++) {
      const story = new EngineStory(engine, `10.70.${n}.0/24`)
      await story.createNetwork()
      for (let c = 0; c < 5; c++) await story.start(`${n} ${c}`)
    }
    engine.close()
    const seeds = 'no-such-host.invalid,192.0.2.77,192.0.2.78:7947'
    const again = await restart({ JOIN: seeds })
    const isWhole = async (): Promise<boolean> => {
      const { overlays } = await again.status()
      return overlays.length === 20 && overlays.every(({ endpoints }) => endpoints.length === 5)
    }
    await until(isWhole, 'all networks and endpoints')
  })

  it('serves networks and containers although nobody that JOIN names can be reached', async () => {
    const before = await start()
    const early = engineOf(before)
    const story = new EngineStory(early, '10.70.0.0/24')
    await story.createNetwork()
    await story.start('takes a block')
    await before.end('SIGKILL')
    early.close()
    const alone = await start({ JOIN: 'no-such-host.invalid,192.0.2.77' })
    const engine = engineOf(alone)
    for (let n = 0; n < 3; n++) {
      const { endpointId } = await story.with(engine).start(`c${n}`)
      await story.with(engine).stop(endpointId)
    }
    // A subnet of its own needs others that it has never heard: one answer or the other, but no
    // silence.
    const other = new EngineStory(engine, '10.71.0.0/24')
    await messageOf(other.createNetwork().then(() => other.start('nowhere')))
    engine.close()
  })

  it('waits with a clear word for an address that the host does not have yet, and then starts', async () => {
    await lab.run(netns, 'ip', 'addr', 'flush', 'dev', 'eth0')
    const message = await messageOf(start({ ADVERTISE_ADDR: '' }))
    expect(message).to.contain('ADVERTISE_ADDR').and.contain('default route')
    await lab.run(netns, 'ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0')
    await start()
  })

  it('starts before the network of a host that it knows, and serves the containers that come back at once', async () => {
    const before = await start()
    const early = engineOf(before)
    const story = new EngineStory(early, '10.70.0.0/24')
    await story.createNetwork()
    await story.stop((await story.start('was there')).endpointId)
    await before.end('SIGKILL')
    early.close()
    await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'down')
    await lab.run(netns, 'ip', 'addr', 'flush', 'dev', 'eth0')
    const later = { ADVERTISE_ADDR: '', JOIN: 'no-such-host.invalid,192.0.2.77' }
    await restart(later)
    const engine = engineOf(plugin!)
    const back = await Promise.all([1, 2, 3].map((n) => story.with(engine).start(`c${n}`)))
    await lab.run(netns, 'ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0')
    await lab.run(netns, 'ip', 'link', 'set', 'eth0', 'up')
    const [overlay] = (await plugin!.status()).overlays
    expect(overlay!.endpoints.filter(({ joined }) => joined)).to.have.length(back.length)
    await new EngineStory(engine, '10.72.0.0/24').createNetwork()
    engine.close()
  })

  it('refuses a store that is damaged or newer, and starts when the last good copy is put back', async () => {
    const first = await start()
    const engine = engineOf(first)
    await new EngineStory(engine, '10.70.0.0/24').createNetwork()
    engine.close()
    await first.end('SIGKILL')
    const path = join(folder, 'state/store/journal')
    const good = await readFile(path)
    const damaged = Buffer.from(good)
    damaged[good.length >> 1]! ^= 0xff
    await writeFile(path, damaged)
    expect(await messageOf(start())).to.match(/journal cannot be read, at byte \d+/)
    for (const useless of [Buffer.from('not a journal at all\n'), good.subarray(0, 20), '']) {
      await writeFile(path, useless)
      expect(await messageOf(start())).to.match(/journal cannot be read, at byte 0/)
    }
    await writeFile(path, encodeRecord('{"format":99,"sequence":0,"rows":[]}'))
    expect(await messageOf(start())).to.match(/its format is 99 .*use the newer version/)
    await writeFile(path, good)
    expect((await (await start()).status()).overlays).to.have.length(1)
  })

  it('answers with an error while the disk is full, and has nothing half made', async () => {
    const full = await start({}, diskBytes)
    const engine = engineOf(full)
    const story = new EngineStory(engine, '10.70.0.0/24')
    await story.createNetwork()
    await story.start('before')
    const links = (): Promise<string> => full.exec('ip', '-o', 'link')
    const seen = async (): Promise<object> => {
      // A record is published a moment after it was put.
      let status = await full.status()
      while (status.cluster.unpublished > 0) status = await full.status()
      const [pool] = status.ipam.pools
      return {
        endpoints: status.overlays.map(({ endpoints }) => endpoints.length),
        leases: pool!.leases.length,
        records: status.cluster.records.own,
        links: (await links()).split('\n').length,
      }
    }
    const filler = full.stateFile('filler')
    await messageOf(writeFile(filler, Buffer.alloc(diskBytes)))
    // What is left of the journal's last page is used up first.
    let message = 'succeeded'
    for (let n = 0; message === 'succeeded' && n < 100; n++)
      message = await messageOf(story.start(`full ${n}`))
    // The page may have ended between two writes of that start, with no room to take the first back.
    const before = await seen()
    for (let n = 0; n < 3; n++) {
      expect(message).to.match(/ENOSPC|no space/i)
      expect(await seen()).to.deep.equal(before)
      message = await messageOf(story.start(`full again ${n}`))
    }
    expect(await messageOf(new EngineStory(engine, '10.71.0.0/24').createNetwork())).to.match(
      /ENOSPC|no space/i,
    )
    await rm(filler)
    await story.start('after')
    expect(await messageOf(story.start('after that'))).to.equal('succeeded')
    await new EngineStory(engine, '10.72.0.0/24').createNetwork()
    engine.close()
  })
})
