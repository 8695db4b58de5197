import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { OverlayError } from '../../../src/base/errors.ts'
import { createLogger } from '../../../src/base/logger.ts'
import { FileStore } from '../../../src/store/file-store.ts'
import { snapshotRecord } from '../../../src/store/journal.ts'
import { encodeRecord } from '../../../src/store/record.ts'
import { FakeDisk } from './fake-disk.ts'

describe('FileStore', () => {
  let directory: string
  let path: string
  let lines: string[]

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ts-overlay-store-'))
    path = join(directory, 'journal')
    lines = []
  })
  afterEach(() => rm(directory, { recursive: true }))

  /** The store on `disk`, or on the machine's. */
  function open(disk?: FakeDisk): Promise<FileStore> {
    const { logger } = createLogger((line) => lines.push(line))
    return FileStore.open(directory, disk === undefined ? { logger } : { logger, disk })
  }

  /** What the disk says, by a store that is opened and closed again. */
  async function rowsOn(disk: FakeDisk): Promise<Record<string, unknown>> {
    const store = await open(disk)
    const rows = Object.fromEntries(store.entries('t'))
    await store.close()
    return rows
  }

  async function refusalOf(opening: Promise<unknown>): Promise<string> {
    const error = await opening.then(
      () => expect.fail('it opened'),
      (reason: unknown) => reason,
    )
    expect(error).to.be.instanceOf(OverlayError)
    expect((error as OverlayError).code).to.equal('STORE')
    return (error as OverlayError).message
  }

  function row(key: string, value: unknown) {
    return [{ table: 't', key, value }]
  }

  it('reads back what was written, and goes on from there', async () => {
    const first = await open()
    await first.write(row('a', 1))
    await first.write(row('b', { deep: ['x', null] }))
    await first.close()
    const second = await open()
    expect(second.entries('t')).to.deep.equal([
      ['a', 1],
      ['b', { deep: ['x', null] }],
    ])
    await second.write(row('a', null))
    await second.close()
    const third = await open()
    expect(third.entries('t')).to.deep.equal([['b', { deep: ['x', null] }]])
    await third.close()
    expect(lines).to.deep.equal([
      `info main: ${path} has rows: 0, groups of writes: 0`,
      `info main: ${path} has rows: 2, groups of writes: 2`,
      `info main: ${path} has rows: 1, groups of writes: 3`,
    ])
  })

  it('keeps its file for the owner alone, and leaves no other behind', async () => {
    const store = await open()
    await store.write(row('a', 1))
    await store.close()
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
  })

  it('refuses a directory that is open already, by whatever path, and gives it back', async () => {
    const store = await open()
    expect(await refusalOf(open())).to.match(/in use by another process/)
    const around = join(directory, '..', directory.split('/').at(-1)!, '.')
    const { logger } = createLogger(() => {})
    expect(await refusalOf(FileStore.open(around, { logger }))).to.match(/in use/)
    await store.close()
    await (await open()).close()
  })

  it('gives the directory back when it cannot be opened', async () => {
    await writeFile(path, 'not a journal, but longer than the head of a record\n')
    expect(await refusalOf(open())).to.match(/journal cannot be read, at byte 0/)
    expect(await refusalOf(open())).to.match(/at byte 0/)
  })

  it('says which file is damaged, where, and what to do', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    await store.write(row('a', 'first'))
    await store.write(row('b', 'second'))
    await store.close()
    const bytes = disk.contentOf(path)
    bytes[bytes.indexOf('first')]! ^= 0xff
    disk.put(path, bytes)
    const message = await refusalOf(open(disk))
    expect(message).to.include(path)
    expect(message).to.match(/at byte \d+: the record does not match its checksum/)
    expect(message).to.match(/move the file away/)
  })

  it('refuses a newer format', async () => {
    const disk = new FakeDisk()
    disk.put(path, encodeRecord('{"format":2,"sequence":0,"rows":[]}'))
    expect(await refusalOf(open(disk))).to.match(/its format is 2 .* use the newer version/)
  })

  it('refuses a journal that misses a group, or has one twice', async () => {
    const group = (sequence: number): Buffer =>
      encodeRecord(`{"sequence":${sequence},"changes":[]}`)
    for (const groups of [[1, 3], [1, 1], [2]]) {
      const disk = new FakeDisk()
      disk.put(path, Buffer.concat([snapshotRecord([], 0), ...groups.map(group)]))
      expect(await refusalOf(open(disk))).to.match(/group \d follows group \d/)
    }
  })

  it('cuts off a torn end, says so, and goes on', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    await store.write(row('a', 1))
    const before = disk.contentOf(path).length
    await store.write(row('b', 2))
    await store.close()
    disk.put(path, disk.contentOf(path).subarray(0, before + 40))
    const again = await open(disk)
    expect(again.entries('t')).to.deep.equal([['a', 1]])
    expect(lines.join('\n')).to.match(/warn .*cut 40 bytes off .*journal/)
    await again.write(row('c', 3))
    await again.close()
    expect(await rowsOn(disk)).to.deep.equal({ a: 1, c: 3 })
  })

  it('cut off at any byte is what was written before, and never a store without rows', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    const unwritten = disk.contentOf(path)
    const ends: number[] = []
    for (const key of ['a', 'b', 'c']) {
      await store.write(row(key, key))
      ends.push(disk.contentOf(path).length)
    }
    await store.close()
    const whole = disk.contentOf(path)
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      const cut = new FakeDisk()
      cut.put(path, whole.subarray(0, bytes))
      const kept = ends.filter((end) => end <= bytes).length
      if (kept === 0) expect(await refusalOf(open(cut))).to.match(/cannot be read, at byte 0/)
      else expect(Object.keys(await rowsOn(cut))).to.deep.equal(['a', 'b', 'c'].slice(0, kept))
    }
    const never = new FakeDisk()
    never.put(path, unwritten)
    expect(await rowsOn(never)).to.deep.equal({})
  })

  it('shares one sync among writes that come together', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    await store.write(row('first', 0))
    await new Promise(setImmediate)
    const before = disk.counts.sync
    await Promise.all(Array.from({ length: 50 }, (_, n) => store.write(row(`k${n}`, n))))
    // The first goes at once and alone; the others came while it was being synced.
    expect(disk.counts.sync - before).to.equal(2)
    await store.close()
    expect(Object.keys(await rowsOn(disk))).to.have.length(51)
  })

  it('resolves a write only when it is durable', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    await store.write(row('a', 1))
    expect(disk.unsyncedBytes).to.equal(0)
    await store.close()
  })

  it('refuses the first write of all when the disk is full, and takes the next', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    disk.failing.set('replace', { message: 'ENOSPC', bytesTaken: 0 })
    expect(await refusalOf(store.write(row('a', 1)))).to.match(/journal: ENOSPC/)
    expect(store.entries('t')).to.deep.equal([])
    disk.failing.clear()
    await store.write(row('b', 2))
    await store.write(row('c', 3))
    await store.close()
    expect(await rowsOn(disk)).to.deep.equal({ b: 2, c: 3 })
  })

  it('takes no more writes when it cannot tell whether the disk has the first', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    disk.failing.set('syncName', { message: 'EIO', bytesTaken: 0 })
    expect(await refusalOf(store.write(row('a', 1)))).to.match(/EIO; restart the plugin/)
    disk.failing.clear()
    expect(await refusalOf(store.write(row('a', 2)))).to.match(/restart the plugin/)
    await store.close()
  })

  for (const bytesTaken of [0, 1, 30, 1000])
    it(`refuses a write when the disk is full after ${bytesTaken} bytes, and takes the next`, async () => {
      const disk = new FakeDisk()
      const store = await open(disk)
      await store.write(row('a', 1))
      disk.failing.set('append', { message: 'ENOSPC: no space left on device', bytesTaken })
      const message = await refusalOf(store.write(row('a', 2)))
      expect(message).to.match(/journal: ENOSPC/)
      expect(store.get('t', 'a')).to.equal(1)
      disk.failing.clear()
      await store.write(row('b', 3))
      await store.close()
      expect(await rowsOn(disk)).to.deep.equal({ a: 1, b: 3 })
    })

  it('takes no more writes once a sync has failed: the disk may hold either', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    await store.write(row('a', 1))
    disk.failing.set('sync', { message: 'EIO', bytesTaken: 0 })
    expect(await refusalOf(store.write(row('a', 2)))).to.match(/EIO; restart the plugin/)
    disk.failing.clear()
    expect(await refusalOf(store.write(row('a', 3)))).to.match(/restart the plugin/)
    expect(store.get('t', 'a')).to.equal(1)
    expect(lines.at(-1)).to.match(/^warn/)
    await store.close()
  })

  it('refuses writes after it was closed, and finishes those before', async () => {
    const disk = new FakeDisk()
    const store = await open(disk)
    const write = store.write(row('a', 1))
    await store.close()
    await write
    expect(await refusalOf(store.write(row('a', 2)))).to.match(/is closed/)
    expect(await rowsOn(disk)).to.deep.equal({ a: 1 })
  })

  describe('writes its journal anew when that has grown', () => {
    const large = 'x'.repeat(300_000)

    /** A store with one row, whose journal was written anew for it. */
    async function withRow(disk?: FakeDisk): Promise<FileStore> {
      const store = await open(disk)
      await store.write(row('a', 0))
      return store
    }

    async function grown(disk: FakeDisk): Promise<FileStore> {
      const store = await withRow(disk)
      for (let n = 0; n < 4; n++) await store.write(row('a', `${n}${large}`))
      return store
    }

    it('and keeps the rows', async () => {
      const disk = new FakeDisk()
      const store = await grown(disk)
      expect(disk.counts.replace).to.equal(3)
      expect(disk.contentOf(path).length).to.be.below(400_000)
      await store.write(row('b', 2))
      await store.close()
      expect(await rowsOn(disk)).to.deep.equal({ a: `3${large}`, b: 2 })
    })

    it('and goes on with it although no more files can be opened', async () => {
      const disk = new FakeDisk()
      const store = await withRow(disk)
      disk.failing.set('grow', { message: 'EMFILE', bytesTaken: 0 })
      for (let n = 0; n < 9; n++) await store.write(row('a', `${n}${large}`))
      expect(disk.counts.replace).to.be.greaterThan(3)
      await store.close()
      disk.failing.clear()
      expect(await rowsOn(disk)).to.deep.equal({ a: `8${large}` })
    })

    it('on a disk of this machine, which keeps no other file', async () => {
      const store = await withRow()
      for (let n = 0; n < 9; n++) await store.write(row('a', `${n}${large}`))
      const { size } = await stat(path)
      expect(size).to.be.below(4 * large.length)
      await store.close()
      expect(await readdir(directory)).to.deep.equal(['journal'])
      const again = await open()
      expect(again.get('t', 'a')).to.equal(`8${large}`)
      await again.close()
    })

    it('or goes on with the old one when the disk is full', async () => {
      const disk = new FakeDisk()
      const store = await withRow(disk)
      disk.failing.set('replace', { message: 'ENOSPC', bytesTaken: 0 })
      for (let n = 0; n < 5; n++) await store.write(row('a', `${n}${large}`))
      expect(disk.counts.replace).to.equal(3)
      expect(lines.join()).to.match(/goes on growing: ENOSPC/)
      disk.failing.clear()
      for (let n = 5; n < 9; n++) await store.write(row('a', `${n}${large}`))
      expect(disk.counts.replace).to.equal(4)
      await store.close()
      expect(await rowsOn(disk)).to.deep.equal({ a: `8${large}` })
    })

    it('or ends when it cannot tell which of the two the disk has', async () => {
      const disk = new FakeDisk()
      const store = await withRow(disk)
      disk.failing.set('syncName', { message: 'EIO', bytesTaken: 0 })
      for (let n = 0; n < 4; n++) await store.write(row('a', `${n}${large}`))
      expect(await refusalOf(store.write(row('b', 1)))).to.match(/EIO; restart/)
      await store.close()
      for (const namesKept of [true, false])
        expect(await rowsOn(disk.afterCrash(0, 0, namesKept))).to.deep.equal({ a: `3${large}` })
    })
  })

  it('keeps, through a crash at any moment, all that resolved and the rest whole or not at all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }), { maxLength: 12 }),
        fc.nat(40),
        fc.nat(400),
        fc.constantFrom(0, 2, 600),
        async (writes, turns, kept, zeros) => {
          const disk = new FakeDisk()
          const store = await open(disk)
          let resolved = 0
          for (const [n, keys] of writes.entries())
            void store
              .write(keys.map((key) => ({ table: 't', key: `${key}`, value: n })))
              .then(() => resolved++)
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
          const done = resolved
          const crashed = disk.afterCrash(kept, zeros)
          await store.close()
          const found = await rowsOn(crashed)
          const states = writes.map((_, n) => stateAfter(writes.slice(0, n + 1)))
          const possible = [{}, ...states].slice(done)
          expect(possible).to.deep.include(found)
        },
      ),
      { numRuns: 200 },
    )
  })
})

/** The rows after these writes, the nth of which sets its keys to n. */
function stateAfter(writes: readonly (readonly number[])[]): Record<string, number> {
  return Object.fromEntries(writes.flatMap((keys, n) => keys.map((key) => [`${key}`, n])))
}
