import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect } from 'chai'
import { startLonePlugin } from '../../support/lone-plugin.ts'

const doc = readFileSync(resolve(import.meta.dirname, '../../../docs/operating.md'), 'utf8')

describe('/status', () => {
  it('is plain JSON, and every field of it is told in docs/operating.md', async () => {
    const { plugin } = await startLonePlugin()
    const status = plugin.status()
    expect(JSON.parse(JSON.stringify(status))).to.deep.equal(status)
    const { version: _, member: __, vtep: ___, ...told } = status
    for (const field of [...Object.keys(told), 'calls'])
      expect(doc, field).to.match(new RegExp(`^\\| \`${field}\` +\\|`, 'm'))
    expect(status.disagreements).to.deep.equal({ count: 0, list: [] })
    expect(status.ignoredClaims).to.deep.equal({ total: 0, list: [] })
    await plugin.stop()
  })

  it('has a row in docs/operating.md for each kind of disagreement and of ignored claim', () => {
    for (const file of ['src/driver/consistency.ts', 'src/wiring/claim-validation.ts']) {
      const source = readFileSync(resolve(import.meta.dirname, '../../..', file), 'utf8')
      const [, kinds] = /readonly (?:kind|what):((?:[\s|]+'[\w-]+')+)/.exec(source)!
      for (const [, kind] of kinds!.matchAll(/'([\w-]+)'/g))
        expect(doc, `${file}: ${kind}`).to.match(new RegExp(`^\\| .*\`${kind}\`.* \\|`, 'm'))
    }
  })
})
