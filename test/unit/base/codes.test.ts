import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect } from 'chai'
import { errorCodes, eventKinds, findingCodes } from '../../../src/base/codes.ts'

const doc = readFileSync(resolve(import.meta.dirname, '../../../docs/errors.md'), 'utf8')
const [, errors, findings] = doc.split(/^## /m)

function codesIn(section: string): string[] {
  return [...section.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(([, code]) => code!)
}

describe('base/codes', () => {
  it('are all explained in docs/errors.md, in alphabetical order, and no others are', () => {
    expect(codesIn(errors!)).to.deep.equal([...errorCodes].toSorted())
    expect(codesIn(findings!)).to.deep.equal([...findingCodes].toSorted())
  })

  it('of events are all explained in docs/operating.md, in alphabetical order', () => {
    const operating = readFileSync(
      resolve(import.meta.dirname, '../../../docs/operating.md'),
      'utf8',
    )
    const section = operating.split(/^## /m).find((part) => part.startsWith('Events'))!
    const listed = [...section.matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, kind]) => kind)
    expect(listed).to.deep.equal([...eventKinds].toSorted())
  })

  it('are not used for errors and findings alike', () => {
    const both = findingCodes.filter((code) => new Set<string>(errorCodes).has(code))
    expect(both).to.deep.equal([])
  })
})
