import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { npmPackage } from '../../../plugin/packages.ts'
import { Provenance, billOfMaterials, digestOf, normalise } from '../../../plugin/provenance.ts'

const own = npmPackage('.')
const netmask = npmPackage('node_modules/netmask')

describe('the provenance of the image', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ts-overlay-provenance-'))
    mkdirSync(join(root, 'app'))
    writeFileSync(join(root, 'app/main.cjs'), 'program')
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('names each package once, and for each file its digest and its packages', () => {
    const provenance = new Provenance()
    provenance.add('app/main.cjs', [own, netmask])
    writeFileSync(join(root, 'LICENSE'), 'text')
    provenance.add('/LICENSE', [netmask])
    const bill = billOfMaterials(root, own, provenance) as {
      readonly components: readonly { readonly type: string; readonly name: string }[]
    }
    expect(bill.components.map(({ type, name }) => `${type} ${name}`)).to.deep.equal([
      'library netmask',
      'file /LICENSE',
      'file /app/main.cjs',
    ])
    expect(bill.components[2]).to.deep.include({
      hashes: [
        {
          alg: 'SHA-256',
          content: '1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8',
        },
      ],
    })
  })

  it('is not written while a file has none', () => {
    const write = (): unknown => billOfMaterials(root, own, new Provenance())
    expect(write).to.throw('nothing says where /app/main.cjs comes from')
  })

  it('does not depend on times and modes once they are normalised, but on content', () => {
    normalise(root)
    const digest = digestOf(root)
    utimesSync(join(root, 'app/main.cjs'), 1, 2)
    chmodSync(join(root, 'app'), 0o700)
    expect(digestOf(root)).to.not.equal(digest)
    normalise(root)
    expect(digestOf(root)).to.equal(digest)
    writeFileSync(join(root, 'app/main.cjs'), 'another program')
    normalise(root)
    expect(digestOf(root)).to.not.equal(digest)
  })
})
