import { expect } from 'chai'
import { oidOfName } from '../../../../src/cluster/log/digest.ts'
import type { SyncProtocol } from '../../../../src/cluster/sync/protocol.ts'
import { type Frame, encodeFrame, encodeMessage } from '../../../../src/cluster/wire/frames.ts'
import { Fixture } from '../fixture.ts'

const owner = oidOfName('owner')

function delta(epoch: number): Frame {
  const entries = [{ id: '\u00f0a', version: 1, value: 'x' }]
  const ranges = [{ from: 0, to: 1, entries }]
  const bare = { oid: owner, floor: 0, head: 1, reset: null, repair: true, ranges }
  return { kind: 'delta', delta: { ...bare, epoch } }
}

function summary(epoch: number): Frame {
  const summaries = [{ oid: owner, epoch, prefix: 1, head: 1 }]
  return { kind: 'summaries', answer: true, buckets: [], summaries }
}

describe('cluster/sync/protocol', () => {
  let fixture: Fixture
  let protocol: SyncProtocol

  beforeEach(() => {
    fixture = new Fixture()
    protocol = fixture.exchange()
    // Its metadata says that the owner is in epoch 5; nothing of that epoch has come yet.
    fixture.member('alive', 'peer', 'owner')
    protocol.open()
    protocol.initialSync.close()
    fixture.sent = []
  })
  afterEach(() => protocol.close())

  const hear = (frame: Frame): void =>
    protocol.onMessage(encodeMessage(oidOfName('peer'), [encodeFrame(frame)]))
  const told = () => fixture.take('summaries').flatMap(({ frame }) => frame.summaries)

  for (const [what, frame] of [
    ['a delta', delta],
    ['a summary', summary],
  ] as const)
    it(`does not answer ${what} of an epoch before with one that it has heard nothing of`, () => {
      // Who is told that the epoch is empty hides all that the owner had before.
      hear(frame(4))
      expect(told()).to.deep.equal([])
      hear(delta(5))
      hear(frame(4))
      expect(told()).to.deep.equal([{ oid: owner, epoch: 5, prefix: 1, head: 1 }])
    })

  it('says nothing of its own log before it has published what it had', () => {
    const starting = new Fixture()
    starting.member('alive', 'peer')
    const closed = starting.exchange()
    const own = { oid: starting.replica.self.oid, epoch: 4, prefix: 3, head: 3 }
    const frame: Frame = { kind: 'summaries', answer: true, buckets: [], summaries: [own] }
    const message = encodeMessage(oidOfName('peer'), [encodeFrame(frame)])
    closed.onMessage(message)
    expect(starting.take('summaries')).to.deep.equal([])
    closed.open()
    starting.sent = []
    closed.onMessage(message)
    expect(starting.take('summaries')).to.have.length(1)
    closed.close()
  })
})
