import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { apiReference, presetTable } from '../support/api-reference.ts'
import { codeOf, sectionOf } from '../support/readme.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const here = new URL('.', import.meta.url).pathname

describe('the README', () => {
  it('has an example that works when it is pasted', () => {
    const flags = ['--conditions=source', '--input-type=module', '-e', codeOf(readme, 'js')]
    const output = execFileSync(process.execPath, flags, { cwd: here, encoding: 'utf8' })
    expect(output.trim().split('\n')).to.deep.equal([
      'bob joined: role=database',
      'alice got: hello',
      "[ 'alice', 'bob' ]",
      'bob is gone: left',
    ])
  })

  it('has the API as the doc comments tell it (npm run readme)', () => {
    expect(words(sectionOf(readme, 'api'))).to.equal(words(apiReference()))
  })

  it('has the presets as they are (npm run readme)', () => {
    expect(words(sectionOf(readme, 'presets'))).to.equal(words(presetTable()))
  })
})

/** The formatter may wrap lines. */
function words(text: string): string {
  return text.replaceAll(/-+/g, '-').replaceAll(/\s+/g, ' ').trim()
}
