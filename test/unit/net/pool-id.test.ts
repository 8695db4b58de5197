import { isOverlayId, parsePoolKey, poolKeyOf, type PoolName } from '../../../src/net/pool-key.ts'
import { expect } from 'chai'
import { parsePoolId, poolIdOf } from '../../../src/net/pool-id.ts'
import { parseCidr } from '../../../src/net/cidr.ts'

const cidr = parseCidr('10.10.0.0/16')!
const names: [PoolName, key: string, id: string][] = [
  [{ kind: 'shared', cidr, overlay: null }, '10.10.0.0/16', 'ts-overlay/10.10.0.0/16'],
  [{ kind: 'shared', cidr, overlay: 'a' }, '10.10.0.0/16 a', 'ts-overlay/10.10.0.0/16/a'],
  [
    { kind: 'manager', cidr, overlay: null },
    'global:10.10.0.0/16',
    'ts-overlay-global/10.10.0.0/16',
  ],
  [
    { kind: 'worker', cidr, overlay: 'b' },
    'swarm:10.10.0.0/16 b',
    'ts-overlay-swarm/10.10.0.0/16/b',
  ],
]

describe('pool ids', () => {
  for (const [name, key, id] of names) {
    it(`${id} and ${key} name the same pool`, () => {
      expect(poolKeyOf(name)).to.equal(key)
      expect(poolIdOf(name)).to.equal(id)
      expect(parsePoolKey(key)).to.deep.equal(name)
      expect(parsePoolId(id)).to.deep.equal(name)
    })
  }

  for (const id of [
    '',
    'x',
    'ts-overlay',
    'ts-overlay/10.10.0.0',
    'ts-overlay/10.10.0.1/16',
    'ts-overlay/10.10.0.0/16/',
    'ts-overlay/10.10.0.0/16/a/b',
    'ts-overlay/10.10.0.0/16/a b',
    'other/10.10.0.0/16',
  ]) {
    it(`${JSON.stringify(id)} is no pool id`, () => {
      expect(parsePoolId(id)).to.equal(null)
    })
  }

  it('an overlay id has no space or slash', () => {
    expect(['blue', 'a.b-c_d', '0'].every(isOverlayId)).to.equal(true)
    expect(['', ' ', 'a b', 'a/b', '-a', 'é', 'x'.repeat(64)].some(isOverlayId)).to.equal(false)
  })
})
