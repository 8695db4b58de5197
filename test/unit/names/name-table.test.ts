import { expect } from 'chai'
import fc from 'fast-check'
import { NameTable, type TableChange } from '../../../src/names/name-table.ts'
import type { Ip } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'

const [red, blue] = [1 as Vni, 2 as Vni]
const ip = (text: string): Ip => text as Ip

function endpoint(
  key: string,
  vni: Vni,
  where: 'here' | 'there',
  ips: readonly string[],
  names: readonly string[],
): TableChange[] {
  const value = { vni, ips: ips as readonly Ip[], isRemote: where === 'there' }
  return [
    { kind: 'addresses', key, value },
    { kind: 'names', key, value: names },
  ]
}

const networks: TableChange[] = [
  { kind: 'network', vni: red, value: 'Red' },
  { kind: 'network', vni: blue, value: 'a.blue' },
  { kind: 'sandbox', sandbox: 's', value: [red, blue] },
  { kind: 'sandbox', sandbox: 'red only', value: [red] },
]

describe('the table of names', () => {
  let table: NameTable

  beforeEach(() => {
    table = new NameTable()
    table.apply(networks)
  })

  it('answers for each name of an endpoint of another host, whatever its case', () => {
    table.apply(endpoint('a', red, 'there', ['10.0.0.1'], ['Web', 'alias', '0123456789ab']))
    for (const name of ['web', 'alias', '0123456789ab', 'web.red', 'alias.red'])
      expect(table.addressesOf('s', name), name).to.deep.equal(['10.0.0.1'])
    for (const name of ['web.blue', 'web.a.blue', 'red', 'web.', '.red', 'x.web.red'])
      expect(table.addressesOf('s', name), name).to.equal(null)
  })

  it('leaves names of this host alone to the engine, and adds its addresses to those of others', () => {
    table.apply(endpoint('a', red, 'here', ['10.0.0.1'], ['web']))
    expect(table.addressesOf('s', 'web')).to.equal(null)
    table.apply(endpoint('b', red, 'there', ['10.0.0.2'], ['web']))
    expect(table.addressesOf('s', 'web')).to.have.members(['10.0.0.1', '10.0.0.2'])
    table.apply([{ kind: 'addresses', key: 'b', value: null }])
    expect(table.addressesOf('s', 'web')).to.equal(null)
  })

  it('tells a sandbox of its own overlays only', () => {
    table.apply(endpoint('a', blue, 'there', ['10.0.0.1'], ['web']))
    expect(table.addressesOf('red only', 'web')).to.equal(null)
    expect(table.addressesOf('unknown', 'web')).to.equal(null)
    expect(table.nameOf('red only', ip('10.0.0.1'))).to.equal(null)
    table.apply([{ kind: 'sandbox', sandbox: 'red only', value: null }])
    expect(table.addressesOf('red only', 'web')).to.equal(null)
  })

  it('looks in the networks by their names, and splits a name at its last dot first', () => {
    table.apply([
      ...endpoint('a', red, 'there', ['10.0.0.1'], ['web', 'web.a']),
      ...endpoint('b', blue, 'there', ['10.0.0.2'], ['web']),
    ])
    // "Red" sorts before "a.blue", as capitals do for the engine, too.
    expect(table.addressesOf('s', 'web')).to.deep.equal(['10.0.0.1'])
    expect(table.addressesOf('s', 'web.a.blue')).to.deep.equal(['10.0.0.2'])
    expect(table.addressesOf('s', 'web.a')).to.deep.equal(['10.0.0.1'])
    expect(table.addressesOf('s', 'web.a.red')).to.deep.equal(['10.0.0.1'])
  })

  it('lets the first network that has a name decide, though the engine answers for it', () => {
    table.apply([
      ...endpoint('a', red, 'here', ['10.0.0.1'], ['web']),
      ...endpoint('b', blue, 'there', ['10.0.0.2'], ['web']),
    ])
    expect(table.addressesOf('s', 'web')).to.equal(null)
  })

  it('has the name of an address with its network', () => {
    table.apply(endpoint('a', red, 'there', ['10.0.0.1', 'fd00::1'], ['Web', 'alias']))
    expect(table.nameOf('s', ip('10.0.0.1'))).to.equal('Web.Red')
    expect(table.nameOf('s', ip('fd00::1'))).to.equal('Web.Red')
    table.apply(endpoint('b', red, 'here', ['10.0.0.2'], ['here']))
    expect(table.nameOf('s', ip('10.0.0.2'))).to.equal(null)
  })

  it('takes addresses and names in any order, and the last of each counts', () => {
    const [addresses, names] = endpoint('a', red, 'there', ['10.0.0.1'], ['web'])
    table.apply([names!])
    expect(table.addressesOf('s', 'web')).to.equal(null)
    table.apply([addresses!])
    expect(table.addressesOf('s', 'web')).to.deep.equal(['10.0.0.1'])
    table.apply(endpoint('a', blue, 'there', ['10.0.0.9'], ['renamed']))
    expect(table.addressesOf('s', 'web')).to.equal(null)
    expect(table.nameOf('s', ip('10.0.0.1'))).to.equal(null)
    expect(table.addressesOf('s', 'renamed')).to.deep.equal(['10.0.0.9'])
  })

  it('is what a table is that gets only the last change of each thing', () => {
    const change = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      vni: fc.constantFrom(red, blue),
      isRemote: fc.boolean(),
      address: fc.option(fc.constantFrom('10.0.0.1', '10.0.0.2')),
      names: fc.option(fc.uniqueArray(fc.constantFrom('x', 'y', 'x.red'), { minLength: 1 })),
    })
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const all = changes.flatMap(({ key, vni, isRemote, address, names }): TableChange[] => {
          const value = address === null ? null : { vni, ips: [ip(address)], isRemote }
          return [
            { kind: 'addresses', key, value },
            { kind: 'names', key, value: names },
          ]
        })
        const subject = new NameTable()
        subject.apply([...networks, ...all])
        const model = new NameTable()
        const last = new Map(all.map((some) => [JSON.stringify([some.kind, keyOf(some)]), some]))
        model.apply([...networks, ...last.values()])
        for (const name of ['x', 'y', 'x.red', 'x.a.blue', 'x.red.red'])
          expect(subject.addressesOf('s', name)?.sort()).to.deep.equal(
            model.addressesOf('s', name)?.sort(),
          )
        for (const address of [ip('10.0.0.1'), ip('10.0.0.2')])
          expect(subject.nameOf('s', address) === null).to.equal(
            model.nameOf('s', address) === null,
          )
      }),
    )
  })
})

function keyOf(change: TableChange): string {
  return 'key' in change ? change.key : ''
}
