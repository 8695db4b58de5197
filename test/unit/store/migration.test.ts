import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import { FileStore } from '../../../src/store/file-store.ts'
import { type Migration, formatAfter, presentFormat } from '../../../src/store/migrations.ts'
import { FakeDisk } from './fake-disk.ts'

/** A journal as the first version wrote it, byte by byte: what every later one must be able to read. */
const old = Buffer.from(
  [
    '0000003d e1b02575 9354f0a2 {"format":1,"sequence":7,"rows":[["t","a",{"name":"first"}]]}',
    '0000003a 2330277e 230500fe {"sequence":8,"changes":[["t","b",{"name":"second one"}]]}',
    '',
  ].join('\n'),
)

/** Format 2: rows of `t` have a `size`. Format 3: they are in the table `things`. */
const steps: readonly Migration[] = [
  (rows) =>
    rows.entries<{ name: string }>('t').map(([key, value]) => {
      return { table: 't', key, value: { ...value, size: value.name.length } }
    }),
  (rows) =>
    rows.entries('t').flatMap(([key, value]) => [
      { table: 't', key, value: null },
      { table: 'things', key, value },
    ]),
]

describe('a store of an older format', () => {
  let directory: string
  let path: string
  const lines: string[] = []
  const logger = { ...silentLogger, info: (line: string) => void lines.push(line) }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ts-overlay-store-'))
    path = join(directory, 'journal')
    lines.length = 0
  })
  afterEach(() => rm(directory, { recursive: true }))

  const open = (disk: FakeDisk, some = steps): Promise<FileStore> =>
    FileStore.open(directory, { logger, disk, steps: some })
  const diskWith = (bytes: Buffer): FakeDisk => {
    const disk = new FakeDisk()
    disk.put(path, bytes)
    return disk
  }
  const migrated = [
    ['a', { name: 'first', size: 5 }],
    ['b', { name: 'second one', size: 10 }],
  ]

  it('is migrated step by step, and goes on from there', async () => {
    const disk = diskWith(old)
    const store = await open(disk)
    expect(store.entries('t')).to.deep.equal([])
    expect(store.entries('things')).to.deep.equal(migrated)
    expect(lines.join()).to.contain('had format 1 and has format 3 now')
    await store.write([{ table: 'things', key: 'c', value: 1 }])
    await store.close()
    const again = await open(disk)
    expect(again.entries('things')).to.deep.equal([...migrated, ['c', 1]])
    expect(lines.filter((line) => line.includes('had format'))).to.have.length(1)
    await again.close()
  })

  it('is left as it was when the disk has no room for the new one', async () => {
    const disk = diskWith(old)
    disk.replace = () => Promise.reject(new Error('ENOSPC'))
    const failed = await open(disk).catch((error: Error) => error.message)
    expect(failed).to.match(/cannot write .*journal: ENOSPC; make room/)
    expect(disk.contentOf(path).equals(old)).to.equal(true)
    const store = await open(diskWith(old))
    expect(store.entries('things')).to.deep.equal(migrated)
    await store.close()
  })

  it('cannot be read any more by the version that wrote it, which says so', async () => {
    const disk = diskWith(old)
    await (await open(disk)).close()
    const message = await open(disk, []).catch((error: Error) => error.message)
    expect(message).to.match(/its format is 3 and this version knows none after 1; use the newer/)
  })

  it('loses a write that a crash cut off, and nothing else', async () => {
    const store = await open(diskWith(old.subarray(0, old.length - 5)))
    expect(store.entries('things')).to.deep.equal(migrated.slice(0, 1))
    await store.close()
  })

  it('is read from format 1 by the present version', async () => {
    expect(presentFormat).to.be.at.least(formatAfter([]))
    const store = await FileStore.open(directory, { logger, disk: diskWith(old) })
    expect(store.entries('t')).to.have.length(2)
    await store.close()
  })
})
