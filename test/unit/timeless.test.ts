import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { projectDir } from '../support/lab/paths.ts'

/** What tells how long something took. */
const measures = /\bperformance\.now\b|\bhrtime\b|[cC]puUsage\b|\bDate\.now\b/

/** Test files that measure and assert nothing of it. */
const allowed: Readonly<Record<string, string>> = {
  'test/e2e/cut-off.test.ts': 'prints how soon a host is gone and back',
  'test/e2e/many-at-once.test.ts': 'prints how long the cable was out',
  'test/e2e/options.test.ts': 'gives up after a while',
}

describe('tests', () => {
  it('assert no time of the clock or the processor: they do not measure it', () => {
    const files = globSync('{test,packages/*/test}/**/*.test.ts', { cwd: projectDir })
    const measuring = files.filter((file) =>
      measures.test(readFileSync(join(projectDir, file), 'utf8')),
    )
    expect(measuring.toSorted()).to.deep.equal(Object.keys(allowed).toSorted())
  })
})
