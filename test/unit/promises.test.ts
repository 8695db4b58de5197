import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { projectDir } from '../support/lab/paths.ts'

const documents = ['docs/consensus.md', 'docs/ipam.md']
/** A file in backticks, or a title in curly quotes that belongs to the last file. */
const named = /`((?:test|bench)\/[^`\s]+\.ts)`|“((?:[^”]|”(?=\w))+)”/g

/** The tests that rows of tables in a document name: file and part of a title, where there is one. */
function testsIn(text: string): { file: string; title: string | null }[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .flatMap((line) => {
      let file: string | undefined
      const tests: { file: string; title: string | null }[] = []
      for (const [, path, title] of line.matchAll(named)) {
        file = path ?? file
        if (file !== undefined) tests.push({ file, title: title ?? null })
      }
      return tests
    })
}

describe('the promises of the documents', () => {
  for (const document of documents)
    it(`${document}: the tests that show them are there`, () => {
      const tests = testsIn(readFileSync(join(projectDir, document), 'utf8'))
      expect(tests).to.have.length.above(10)
      for (const { file, title } of tests) {
        expect(existsSync(join(projectDir, file)), file).to.equal(true)
        if (title === null) continue
        const text = readFileSync(join(projectDir, file), 'utf8')
        expect(text.includes(title), `${file}: ${title}`).to.equal(true)
      }
    })
})
