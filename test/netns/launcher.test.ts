/** The program that the image starts with, executing Node. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { writeLauncher } from '../../plugin/launcher.ts'

/** What each thread of a Node may do, its limits, and whether a ring is open. */
const script = `
const { readdirSync, readFileSync, readlinkSync } = require('node:fs')
const fields = /^(Cap\\w+|NoNewPrivs|Seccomp):.*$/gm
const threads = readdirSync('/proc/self/task').map((id) =>
  readFileSync('/proc/self/task/' + id + '/status', 'latin1').match(fields))
const files = readdirSync('/proc/self/fd').flatMap((fd) => {
  try { return [readlinkSync('/proc/self/fd/' + fd)] } catch { return [] }
})
const limits = readFileSync('/proc/self/limits', 'latin1').match(/^Max (data|core).*/gm)
console.log(JSON.stringify({ threads, files, limits, args: process.argv.slice(1) }))`

describe('the launcher', () => {
  let folder: string

  before(async function () {
    if (process.getuid?.() !== 0) this.skip()
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-launcher-'))
    await writeLauncher(folder)
  })

  after(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true })
  })

  it('leaves no thread of Node a right that is not needed', async () => {
    const args = [process.execPath, '-e', script, 'one', 'two']
    const { stdout } = await execa(join(folder, 'launcher'), args)
    const found = JSON.parse(stdout) as {
      readonly threads: readonly (readonly string[])[]
      readonly files: readonly string[]
      readonly limits: readonly string[]
      readonly args: readonly string[]
    }
    expect(found.threads.length).to.be.above(1)
    for (const thread of found.threads)
      expect(thread).to.deep.equal([
        'CapInh:\t0000000000000000',
        'CapPrm:\t0000000000201400',
        'CapEff:\t0000000000201400',
        'CapBnd:\t0000000000201400',
        'CapAmb:\t0000000000000000',
        'NoNewPrivs:\t1',
        'Seccomp:\t2',
      ])
    expect(found.files.join(' ')).to.not.contain('io_uring')
    expect(found.limits.map((limit) => limit.match(/\d+/g))).to.deep.equal([
      ['1073741824', '1073741824'],
      ['0', '0'],
    ])
    expect(found.args).to.deep.equal(['one', 'two'])
  })

  it('ends with the status of a shell when there is nothing to execute', async () => {
    for (const args of [[], ['/no/such/program']]) {
      const { exitCode } = await execa(join(folder, 'launcher'), args, { reject: false })
      expect(exitCode).to.equal(126)
    }
  })
})
