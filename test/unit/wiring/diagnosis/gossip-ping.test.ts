import { expect } from 'chai'
import { GossipPing } from '../../../../src/wiring/diagnosis/gossip-ping.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

type Listener = (from: string, body: Uint8Array) => void

describe('a ping by gossip', () => {
  it('is answered by datagrams and by streams, or not at all', async () => {
    const clock = new VirtualClock()
    const lengths: number[] = []
    let isLost = (_length: number): boolean => false
    const listeners: Record<string, Record<string, Listener>> = { one: {}, two: {} }
    const member = (name: string) =>
      new GossipPing(
        clock,
        {
          send: (to, channel, body) => {
            lengths.push(body.length)
            if (!isLost(body.length))
              clock.setTimeout(() => listeners[to]?.[channel]?.(name, body), 3)
          },
          listen: (channel, listener) => (listeners[name]![channel] = listener),
        },
        0xffff_ffff,
      )
    const one = member('one')
    member('two')
    const both = Promise.all([one.probe('two', 'packet'), one.probe('two', 'stream')])
    await clock.advance(10)
    expect(await both).to.deep.equal([6, 6])
    expect(lengths).to.deep.equal([4, 3000, 4, 3000])
    isLost = (length) => length > 1000
    const lost = Promise.all([one.probe('two', 'stream'), one.probe('three', 'packet')])
    await clock.advance(1000)
    expect(await lost).to.deep.equal([null, null])
    listeners['two']!['ping']!('one', new Uint8Array(3001))
    listeners['one']!['ping-echo']!('two', new Uint8Array(2))
    expect(lengths.slice(4), 'what is too long is not echoed').to.deep.equal([3000, 4])
  })
})
