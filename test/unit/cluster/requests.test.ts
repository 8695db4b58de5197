import { expect } from 'chai'
import { OverlayError, refusal } from '../../../src/base/errors.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { clusterDefaults } from '../../../src/cluster/sync/options.ts'
import {
  type Frame,
  decodeMessage,
  encodeFrame,
  encodeMessage,
} from '../../../src/cluster/wire/frames.ts'
import { type Json, Requests } from '../../../src/cluster/requests.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

type Drop = (frame: Frame, nth: number) => boolean

/** Two members that pass each other frames after 1 ms. */
class Pair {
  readonly clock = new VirtualClock()
  readonly live = new Set(['a', 'b'])
  readonly a: Requests
  readonly b: Requests
  sent: Frame[] = []
  drop: Drop = () => false

  constructor(maxRequests = 10) {
    const make = (self: string, other: () => Requests): Requests =>
      new Requests({
        clock: this.clock,
        random: seededRandom(1),
        maxRequests,
        self,
        send: (_member, frames) => this.#carry(self, other, frames),
        isLive: (member) => this.live.has(member),
        maxPacketPayload: () => 1300,
      })
    this.a = make('a', () => this.b)
    this.b = make('b', () => this.a)
  }

  /** Runs until the request has settled. */
  async settled(request: Promise<Json>): Promise<Json | Error> {
    let outcome: Json | Error | undefined
    request.then(
      (value) => (outcome = value),
      (error: Error) => (outcome = error),
    )
    await this.clock.advanceUntil(() => outcome !== undefined, 100_000)
    return outcome!
  }

  #carry(from: string, other: () => Requests, frames: readonly Frame[]): void {
    for (const frame of decodeMessage(encodeMessage('12345678', frames.map(encodeFrame)))!.frames) {
      this.sent.push(frame)
      if (this.drop(frame, this.sent.length)) continue
      this.clock.setTimeout(() => {
        if (frame.kind === 'request') other().onRequest(from, frame)
        if (frame.kind === 'answer') other().onAnswer(from, frame)
      }, 1)
    }
  }
}

function mebibytes(n: number): string {
  return 'x'.repeat(n * 1024 * 1024)
}

describe('cluster/requests', () => {
  it('brings the answer back, and who asked', async () => {
    const pair = new Pair()
    pair.b.handle('sum', async (from, body) => ({
      from,
      sum: (body as number[]).reduce((x, y) => x + y),
    }))
    const outcome = await pair.settled(pair.a.request('b', 'sum', [1, 2, 3], { timeoutMs: 1000 }))
    expect(outcome).to.deep.equal({ from: 'a', sum: 6 })
    expect(pair.clock.now()).to.be.lessThan(3)
    expect(pair.a.outstanding).to.equal(0)
  })

  it('repeats what was lost, and has it handled once', async () => {
    const pair = new Pair()
    let handled = 0
    pair.b.handle('count', async () => ++handled)
    pair.drop = (_frame, nth) => nth === 1 || nth === 3
    const outcome = await pair.settled(pair.a.request('b', 'count', null, { timeoutMs: 5000 }))
    expect([outcome, handled]).to.deep.equal([1, 1])
    expect(pair.sent.map(({ kind }) => kind)).to.deep.equal([
      'request',
      'request',
      'answer',
      'request',
      'answer',
    ])
  })

  it('gives up in time', async () => {
    const pair = new Pair()
    pair.drop = () => true
    const outcome = await pair.settled(pair.a.request('b', 'x', null, { timeoutMs: 700 }))
    expect(outcome).to.be.instanceOf(OverlayError).with.property('code', 'DEADLINE')
    expect(pair.clock.now()).to.equal(700)
    await pair.clock.advance(10_000)
    expect(pair.sent).to.have.length(3)
  })

  it('hands over errors as they were thrown', async () => {
    const pair = new Pair()
    pair.b.handle('refuse', async () => {
      throw refusal('ADDRESS_IN_USE', '10.0.0.7 is taken')
    })
    pair.b.handle('break', async () => {
      throw new TypeError('no such thing')
    })
    const refused = await pair.settled(pair.a.request('b', 'refuse', null, { timeoutMs: 1000 }))
    expect(refused).to.include({
      kind: 'refusal',
      code: 'ADDRESS_IN_USE',
      message: '10.0.0.7 is taken',
    })
    const broken = await pair.settled(pair.a.request('b', 'break', null, { timeoutMs: 1000 }))
    expect(broken).to.include({
      kind: 'failure',
      code: 'MEMBER_ERROR',
      message: 'b: no such thing',
    })
    const unknown = await pair.settled(pair.a.request('b', 'nothing', null, { timeoutMs: 1000 }))
    expect(unknown).to.include({ code: 'UNSUPPORTED' })
  })

  it('rejects at once when the member is away, and when it goes', async () => {
    const pair = new Pair()
    pair.live.delete('b')
    const away = await pair.settled(pair.a.request('b', 'x', null, { timeoutMs: 1000 }))
    expect(away).to.include({ code: 'MEMBER_AWAY' })
    pair.live.add('b')
    pair.drop = () => true
    pair.clock.setTimeout(() => pair.a.onAway('b'), 50)
    const gone = await pair.settled(pair.a.request('b', 'x', null, { timeoutMs: 1000 }))
    expect(gone).to.include({ code: 'MEMBER_AWAY' })
    expect(pair.clock.now()).to.equal(50)
  })

  it('can be aborted', async () => {
    const pair = new Pair()
    pair.drop = () => true
    const abort = new AbortController()
    pair.clock.setTimeout(() => abort.abort(new Error('changed my mind')), 30)
    const options = { timeoutMs: 1000, signal: abort.signal }
    const outcome = await pair.settled(pair.a.request('b', 'x', null, options))
    expect((outcome as Error).message).to.equal('changed my mind')
    expect(pair.a.outstanding).to.equal(0)
    const again = await pair.settled(pair.a.request('b', 'x', null, options))
    expect((again as Error).message).to.equal('changed my mind')
  })

  it('answers itself without a message', async () => {
    const pair = new Pair()
    pair.a.handle('echo', async (from, body) => [from, body])
    expect(await pair.settled(pair.a.request('a', 'echo', 'x', { timeoutMs: 10 }))).to.deep.equal([
      'a',
      'x',
    ])
    expect(pair.sent).to.have.length(0)
  })

  it('bounds what is under way', async () => {
    const pair = new Pair(2)
    pair.drop = () => true
    const first = [1, 2].map(() =>
      pair.a.request('b', 'x', null, { timeoutMs: 100 }).catch(() => null),
    )
    const outcome = await pair.settled(pair.a.request('b', 'x', null, { timeoutMs: 100 }))
    expect(outcome).to.be.instanceOf(OverlayError)
    expect(pair.a.outstanding).to.equal(2)
    await pair.clock.advance(200)
    await Promise.all(first)
    expect(pair.a.outstanding).to.equal(0)
  })

  it('answers on, however many it was asked a moment ago', async () => {
    const pair = new Pair(10)
    let handled = 0
    pair.b.handle('x', async () => ++handled)
    const ask = async (): Promise<unknown> =>
      pair.settled(pair.a.request('b', 'x', null, { timeoutMs: 1000 }))
    for (let i = 1; i <= 100; i++) expect(await ask()).to.equal(i)
    pair.drop = (frame) => frame.kind === 'answer' && pair.sent.length < 204
    expect(await ask(), 'the last answers are remembered').to.equal(101)
    expect(handled).to.equal(101)
  })

  it('but takes no more at a time than it can handle', async () => {
    const pair = new Pair(10)
    let handled = 0
    pair.b.handle('x', () => new Promise(() => handled++))
    for (let id = 1; id <= 50; id++) {
      pair.b.onRequest('a', { kind: 'request', id, channel: 'x', body: 'null' })
    }
    await pair.clock.advance(10)
    expect(handled).to.equal(40)
  })

  it('handles once what takes long, whatever else it answers meanwhile', async () => {
    const pair = new Pair(100)
    const handled: string[] = []
    pair.b.handle('slow', async (from) => {
      handled.push(from)
      await new Promise<void>((resolve) => pair.clock.setTimeout(resolve, 200_000))
      return 'done'
    })
    pair.b.handle('big', async () => mebibytes(3))
    const slow = { kind: 'request', id: 1, channel: 'slow', body: 'null' } as const
    pair.b.onRequest('a', slow)
    for (let round = 1; round <= 5; round++) {
      for (let i = 0; i < 5; i++) {
        const frame = { kind: 'request', id: 10 * round + i, channel: 'big', body: 'null' } as const
        pair.b.onRequest('a', frame)
        await pair.clock.advance(10)
      }
      pair.b.onRequest('a', slow)
      await pair.clock.advance(30_000)
    }
    expect(handled).to.deep.equal(['a'])
    await pair.clock.advance(100_000)
    pair.b.onRequest('a', { kind: 'request', id: 2, channel: 'big', body: 'null' })
    await pair.clock.advance(10)
    pair.sent.length = 0
    pair.b.onRequest('a', slow)
    await pair.clock.advance(10)
    expect(pair.sent, 'the answer, younger than all others').to.have.length(1)
    expect(handled).to.deep.equal(['a'])
  })

  it('remembers 8 MiB of answers, the last ones', async () => {
    const pair = new Pair(100)
    const handled: number[] = []
    pair.b.handle('big', async (_from, id) => {
      handled.push(id as number)
      return mebibytes(1)
    })
    const ask = async (id: number): Promise<void> => {
      pair.b.onRequest('a', { kind: 'request', id, channel: 'big', body: String(id) })
      await pair.clock.advance(10)
    }
    const ids = Array.from({ length: 20 }, (_, i) => i + 1)
    for (const id of ids) await ask(id)
    handled.length = 0
    // Fixture is made when a request comes, so the one that came last is above.
    for (const id of ids.slice(-8)) await ask(id)
    expect(handled).to.deep.equal([])
    for (const id of ids.slice(0, 12)) await ask(id)
    expect(handled).to.deep.equal(ids.slice(0, 12))
  })

  it('remembers an answer for a minute', async () => {
    const pair = new Pair(100)
    const handled: number[] = []
    pair.b.handle('x', async (_from, id) => {
      handled.push(id as number)
      return null
    })
    const ask = async (id: number): Promise<void> => {
      pair.b.onRequest('a', { kind: 'request', id, channel: 'x', body: String(id) })
      await pair.clock.advance(10)
    }
    await ask(1)
    await pair.clock.advance(59_000)
    await ask(2)
    await ask(1)
    expect(handled).to.deep.equal([1, 2])
    await pair.clock.advance(1000)
    await ask(3)
    await ask(1)
    expect(handled).to.deep.equal([1, 2, 3, 1])
  })

  it('has room for sixteen claims at once among a thousand voters', async () => {
    const pair = new Pair(clusterDefaults.maxRequests)
    pair.drop = () => true
    let failed = 0
    for (let i = 0; i < 16 * 999; i++) {
      pair.a.request('b', 'x', null, { timeoutMs: 20 }).catch(({ code }) => {
        if (code !== 'DEADLINE') failed++
      })
    }
    await pair.clock.advance(30)
    expect(failed).to.equal(0)
  })

  it('takes no answer from somebody who was not asked', async () => {
    const pair = new Pair()
    pair.drop = () => true
    const request = pair.a.request('b', 'x', null, { timeoutMs: 100 })
    const [frame] = pair.sent
    const id = frame?.kind === 'request' ? frame.id : 0
    pair.a.onAnswer('mallory', { kind: 'answer', id, ok: true, body: '1' })
    expect(await pair.settled(request)).to.include({ code: 'DEADLINE' })
  })

  it('handles 256 requests of one member at a time, and others beside them', async () => {
    const pair = new Pair(clusterDefaults.maxRequests)
    let handled = 0
    pair.b.handle('slow', () => {
      handled++
      return new Promise(() => {})
    })
    const request = { kind: 'request', channel: 'slow', body: 'null' } as const
    for (let id = 0; id < 300; id++) pair.b.onRequest('a', { ...request, id })
    expect(handled).to.equal(256)
    pair.b.onRequest('c', { ...request, id: 1 })
    expect(handled).to.equal(257)
  })
})
