import { expect } from 'chai'
import type { GossipMember, MemberState } from '../../../../src/cluster/gossip/gossip-transport.ts'
import { oidOfName } from '../../../../src/cluster/log/digest.ts'
import { decodeMeta, encodeMeta } from '../../../../src/cluster/wire/piggyback.ts'
import { MemberTable } from '../../../../src/cluster/members/member-table.ts'
import type { Ip } from '../../../../src/net/ip.ts'

const vtep = '192.0.2.2' as Ip

function gossiped(state: MemberState, epoch = 5, address = vtep, name = 'host-2'): GossipMember {
  return { name, host: '10.0.0.2' as Ip, port: 7946, state, meta: encodeMeta({ epoch, address }) }
}

function table(): MemberTable {
  return new MemberTable({ name: 'host-1', address: '192.0.2.1' as Ip }, 0)
}

describe('cluster/member-table', () => {
  it('shows ourselves first, and others with the VTEP that their metadata says', () => {
    const members = table()
    members.update(gossiped('alive'), 7)
    expect(members.all()).to.deep.equal([
      { name: 'host-1', address: '192.0.2.1', seed: '', state: 'alive', self: true, sinceMs: 0 },
      {
        name: 'host-2',
        address: vtep,
        seed: '10.0.0.2:7946',
        state: 'alive',
        self: false,
        sinceMs: 7,
      },
    ])
    expect(members.live()).to.deep.equal(['host-2'])
    expect(members.nameOf(oidOfName('host-2'))).to.equal('host-2')
  })

  it('says when something changed, and since when a state lasts', () => {
    const members = table()
    members.update(gossiped('alive'), 1)
    expect(members.update(gossiped('alive'), 2)).to.equal(null)
    expect(members.update(gossiped('alive', 6), 3)?.sinceMs).to.equal(1)
    expect(members.update(gossiped('dead', 6), 4)?.sinceMs).to.equal(4)
    expect(members.live()).to.deep.equal([])
  })

  it('ignores members that are none of ours, and what gossip says of ourselves', () => {
    const members = table()
    expect(members.update({ ...gossiped('alive'), meta: Uint8Array.of(0xff, 0x80) }, 0)).to.equal(
      null,
    )
    expect(members.update(gossiped('dead', 5, vtep, 'host-1'), 0)).to.equal(null)
    expect(members.size).to.equal(1)
  })

  it('believes a goodbye for that epoch, whatever gossip has yet to hear', () => {
    const members = table()
    members.update(gossiped('alive', 5), 0)
    expect(members.left(oidOfName('host-2'), 4, 1)).to.equal(null)
    expect(members.left(oidOfName('host-2'), 5, 1)?.state).to.equal('left')
    expect(members.update(gossiped('alive', 5), 2)).to.equal(null)
    expect(members.update(gossiped('dead', 5), 2)).to.equal(null)
    expect(members.update(gossiped('alive', 6), 3)?.state).to.equal('alive')
  })

  it('forgets the longest gone when very many have come and gone', () => {
    const members = table()
    for (let i = 0; i < 3000; i++) {
      const name = `gone-${i}`
      members.update(gossiped('alive', 5, vtep, name), i)
      members.left(oidOfName(name), 5, i)
    }
    expect(members.size).to.be.at.most(1026)
    expect(members.get('gone-0')).to.equal(undefined)
    expect(members.get('gone-2999')?.state).to.equal('left')
  })

  it('and those that died, after them', () => {
    const members = table()
    members.update(gossiped('alive', 5, vtep, 'left'), 0)
    members.left(oidOfName('left'), 5, 9000)
    for (let i = 0; i < 3000; i++) {
      const name = `dead-${i}`
      members.update(gossiped('alive', 5, vtep, name), i)
      members.update(gossiped('dead', 5, vtep, name), i)
    }
    expect(members.size).to.be.at.most(1026)
    expect(['left', 'dead-0', 'dead-2999'].map((name) => members.get(name)?.state)).to.deep.equal([
      undefined,
      undefined,
      'dead',
    ])
  })

  it('counts one as dead that comes back in a format of another release', () => {
    const members = table()
    members.update(gossiped('alive'), 0)
    members.update(gossiped('dead'), 1)
    const { meta } = gossiped('alive')
    const later = { ...gossiped('alive'), meta: Uint8Array.of(meta[0]!, 99, ...meta.subarray(2)) }
    expect(members.update(later, 2)).to.equal(null)
    expect(members.get('host-2')?.state).to.equal('dead')
    members.update(gossiped('alive', 6), 3)
    expect(members.update(later, 4)?.state, 'without having been away').to.equal('dead')
  })
})

describe('cluster/member-meta', () => {
  it('reads back what it wrote, whatever follows', () => {
    for (const address of ['192.0.2.1', '2001:db8::1'] as Ip[]) {
      const meta = { epoch: 1_790_000_000_123, address }
      const bytes = encodeMeta(meta)
      expect(bytes.length).to.be.at.most(26)
      expect(decodeMeta(Uint8Array.of(...bytes, 1, 2, 3))).to.deep.equal(meta)
    }
  })

  it('refuses what is cut, of another form or of another version', () => {
    const bytes = encodeMeta({ epoch: 5, address: vtep })
    for (let length = 0; length < bytes.length - 1; length++) {
      expect(decodeMeta(bytes.subarray(0, length))).to.equal(null)
    }
    expect(decodeMeta(Uint8Array.of(0x4f, 1, ...bytes.subarray(2)))).to.equal(null)
    expect(decodeMeta(Uint8Array.of(0x4f, 2, 0, 0, 0, 0, 0, 5, 3, 1, 2, 3, 0))).to.equal(null)
  })
})
