import { expect } from 'chai'
import { clusterDefaults } from '../../../../src/cluster/sync/options.ts'
import { OwnRecords } from '../../../../src/cluster/log/own-records.ts'
import { Replica } from '../../../../src/cluster/log/replica.ts'
import type { Ip } from '../../../../src/net/ip.ts'

function scene(limits = { publishRate: 10, publishBurst: 3 }): {
  own: OwnRecords
  replica: Replica
} {
  const self = { name: 'host-1', address: '10.0.0.1' as Ip, epoch: 1 }
  const replica = new Replica(self, clusterDefaults, () => {})
  replica.open()
  return { own: new OwnRecords(replica, limits, 0), replica }
}

describe('cluster/own-records', () => {
  it('shows a record at once and gives it one version however often it changed', () => {
    const { own, replica } = scene()
    own.set('a', '1')
    own.set('a', '2')
    own.set('b', '1')
    own.set('b', null)
    expect([...own.all()]).to.deep.equal([['a', '2']])
    expect(replica.self.log.head).to.equal(0)
    expect(own.publish(0, true).map(({ id, value }) => [id, value])).to.deep.equal([['a', '2']])
    expect([...replica.self.log.live()]).to.deep.equal([['a', '2']])
  })

  it('takes no version for what is as it was', () => {
    const { own } = scene()
    expect(own.set('a', '1')).to.equal(true)
    own.publish(0, true)
    expect(own.set('a', '1')).to.equal(false)
    own.set('a', '2')
    own.set('a', '1')
    expect([own.waiting, own.publish(0, true)]).to.deep.equal([0, []])
    expect(own.set('x', null)).to.equal(false)
  })

  it('gives out no more than the bucket has, and the rest later with its last value', () => {
    const { own, replica } = scene()
    for (const id of ['a', 'b', 'c', 'd', 'e']) own.set(id, '1')
    expect(own.publish(0, true)).to.have.length(3)
    expect([own.waiting, own.delayMs(0)]).to.deep.equal([2, 100])
    own.set('e', '2')
    expect(own.publish(99, true)).to.have.length(0)
    expect(own.publish(100, true)).to.have.length(1)
    expect(own.publish(5000, true).map(({ value }) => value)).to.deep.equal(['2'])
    expect(replica.self.log.head).to.equal(5)
  })

  it('knows no bounds while nobody listens', () => {
    const { own } = scene()
    for (let i = 0; i < 100; i++) own.set(`k${i}`, '1')
    expect(own.publish(0, false)).to.have.length(100)
    own.set('a', '1')
    expect(own.publish(0, true)).to.have.length(1)
  })
})
