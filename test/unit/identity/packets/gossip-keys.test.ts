import { expect } from 'chai'
import fc from 'fast-check'
import {
  type GossipKeys,
  firstGossipKeys,
  installGossipKey,
  keyOfEpoch,
  presharedKey,
  removeGossipKeys,
  rotationDue,
  useGossipKey,
} from '../../../../src/identity/packets/gossip-keys.ts'

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const epochs = (state: GossipKeys): number[] => state.keys.map(({ epoch }) => epoch)

describe('identity/gossip-keys', () => {
  it('give each pair of hosts a preshared key of its own, another one in each epoch', () => {
    const first = firstGossipKeys(key(1))
    const second = useGossipKey(installGossipKey(first, key(2)))
    const [a, b, c] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64'))
    expect(presharedKey(first, a!, b!)).to.equal(presharedKey(first, b!, a!))
    expect(Buffer.from(presharedKey(first, a!, b!), 'base64')).to.have.length(32)
    const all = [first, second].flatMap((keys) => [
      presharedKey(keys, a!, b!),
      presharedKey(keys, a!, c!),
      presharedKey(keys, b!, c!),
    ])
    expect(new Set(all).size).to.equal(6)
    expect(presharedKey(removeGossipKeys(second), a!, b!)).to.equal(presharedKey(second, a!, b!))
  })

  it('installs, uses and removes, one step at a time', () => {
    const first = firstGossipKeys(key(1))
    const installed = installGossipKey(first, key(2))
    expect([installed.current, epochs(installed)]).to.deep.equal([1, [1, 2]])
    expect(installGossipKey(installed, key(3))).to.equal(installed)
    const used = useGossipKey(installed)
    expect([used.current, epochs(used)]).to.deep.equal([2, [1, 2]])
    expect(epochs(removeGossipKeys(used))).to.deep.equal([2])
    expect(useGossipKey(first)).to.equal(first)
  })

  it('in any order of steps: the current key is there, at most three are, and an epoch has one key', () => {
    const steps = fc.array(fc.constantFrom('install', 'use', 'remove'), { maxLength: 40 })
    fc.assert(
      fc.property(steps, (names) => {
        let state = firstGossipKeys(key(0))
        const known = new Map([[1, key(0)]])
        for (const [i, name] of names.entries()) {
          const before = state.current
          if (name === 'install') state = installGossipKey(state, key(i + 1))
          else if (name === 'use') state = useGossipKey(state)
          else state = removeGossipKeys(state)
          expect(state.current - before).to.be.oneOf([0, 1])
          expect(keyOfEpoch(state, state.current)).to.not.equal(undefined)
          expect(state.keys.length).to.be.at.most(3)
          for (const each of state.keys) {
            expect(each.key).to.deep.equal(known.get(each.epoch) ?? each.key)
            known.set(each.epoch, each.key)
          }
        }
      }),
    )
  })

  it('rotates when due, with time between the steps', () => {
    const timing = { everyMs: 1000, settleMs: 60 }
    let state = firstGossipKeys(key(1))
    expect(rotationDue(state, 999, timing)).to.equal(null)
    expect(rotationDue(state, 1000, timing)).to.equal('install')
    state = installGossipKey(state, key(2))
    expect(rotationDue(state, 59, timing)).to.equal(null)
    expect(rotationDue(state, 60, timing)).to.equal('use')
    state = useGossipKey(state)
    expect(rotationDue(state, 59, timing)).to.equal(null)
    expect(rotationDue(state, 60, timing)).to.equal('remove')
    expect(rotationDue(removeGossipKeys(state), 60, timing)).to.equal(null)
  })
})
