import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { makeScratch } from '../../support/scratch.ts'

/** The id of a process that has ended. */
const deadPid = (): number => spawnSync('true').pid

describe('the temporary folder of a test process', () => {
  it('is where temporary files go', () => {
    expect(tmpdir()).to.match(/ts-overlay-test-\d+$/)
    expect(existsSync(tmpdir())).to.equal(true)
  })

  it('takes away what dead processes left, and nothing else', () => {
    const parent = mkdtempSync(join(tmpdir(), 'parent-'))
    for (const suffix of ['', '-x1y2z3']) {
      const left = join(parent, `ts-overlay-test-${deadPid()}${suffix}`)
      mkdirSync(join(left, 'deep'), { recursive: true })
      writeFileSync(join(left, 'deep', 'file'), 'x')
    }
    const others = [
      `ts-overlay-test-${process.ppid}`,
      `ts-overlay-test-${process.ppid}-x1y2z3`,
      'somebody else',
    ]
    for (const name of others) mkdirSync(join(parent, name))
    makeScratch(parent)
    const present = [...others, `ts-overlay-test-${process.pid}`]
    expect(readdirSync(parent).toSorted()).to.deep.equal(present.toSorted())
  })
})
