import { expect } from 'chai'
import type { NetworkClaim } from '../../../src/networks/claim.ts'
import { planNetworks } from '../../../src/networks/plan.ts'

function claim(name: string): NetworkClaim {
  const spec = {
    overlayId: name,
    internal: false,
    attachable: false,
    ipv4: true,
    ipv6: false,
    options: {},
    labels: {},
    ipamOptions: {},
    pools: [],
  }
  return { name, generation: { counter: 1, member: 'b' }, spec }
}

describe('what follows from the claims of other members', () => {
  it('is a bounded number of networks on this host', () => {
    const claims = new Map(Array.from({ length: 1100 }, (_, n) => [`n${n}`, claim(`n${n}`)]))
    const actions = planNetworks({
      self: 'a',
      claims,
      networks: [],
      destroyed: new Map(),
      users: () => [],
      prefixUsers: () => [],
      isCaretaker: true,
    })
    const kinds = Map.groupBy(actions, ({ kind }) => kind)
    expect(kinds.get('create')).to.have.length(1024)
    expect(kinds.get('finding')).to.have.length(76)
  })
})
