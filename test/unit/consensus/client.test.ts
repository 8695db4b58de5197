import { expect } from 'chai'
import { seededRandom } from '../../../src/base/random.ts'
import { failure } from '../../../src/base/errors.ts'
import { Client } from '../../../src/consensus/client.ts'
import type { MemberState } from '../../../src/consensus/ports.ts'
import {
  type Answer,
  type ClusterView,
  decodeRequest,
  encodeAnswer,
} from '../../../src/consensus/requests.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const names = ['h1', 'h2', 'h3']
const idOf = (name: string): string => `${name}#0`

/** A client on h4 of three voters that a test rules. */
class Scene {
  readonly clock = new VirtualClock()
  leader = 'h3'
  term = 1
  /** Voters that answer nothing. */
  readonly silent = new Set<string>()
  readonly delayMs = new Map<string, number>()
  readonly states = new Map<string, MemberState['state']>()
  /** Who was asked, and when. */
  readonly asked: { readonly member: string; readonly atMs: number }[] = []
  readonly client: Client
  #view: ClusterView = this.#viewOf('h3')

  constructor(seed = 1) {
    this.client = new Client({
      self: 'h4',
      clock: this.clock,
      random: seededRandom(seed),
      transport: {
        send: () => {},
        listen: () => {},
        request: (member, bytes, timeoutMs) => this.#answer(member, bytes, timeoutMs),
      },
      members: () =>
        names.map((name) => ({ name, state: this.states.get(name) ?? 'alive', sinceMs: 0 })),
      answerSelf: () => Promise.reject(failure('MEMBER_AWAY', 'no server')),
      view: () => this.#view,
      learn: (_, view) => void (view.term >= this.#view.term && (this.#view = view)),
      ownFailure: () => null,
    })
  }

  /** Submits, and lets the time pass until that is over. */
  async submit(timeoutMs = 4500): Promise<{ took: number; error: Error | null }> {
    const began = this.clock.now()
    const ends: { took: number; error: Error | null }[] = []
    const over = (error: Error | null): void =>
      void ends.push({ took: this.clock.now() - began, error })
    void this.client.submit(Uint8Array.of(1), { timeoutMs }).then(
      () => over(null),
      (error: Error) => over(error),
    )
    while (ends.length === 0) await this.clock.advance(10)
    return ends[0]!
  }

  #viewOf(leader: string): ClusterView {
    const common = { clusterId: 'c.0.1', voters: names.map(idOf), silent: [] }
    return { ...common, term: this.term, leader: leader && idOf(leader) }
  }

  #answer(member: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    this.asked.push({ member, atMs: this.clock.now() })
    expect(decodeRequest(bytes).kind).to.equal('submit')
    return new Promise((resolve, reject) => {
      const delayMs = this.delayMs.get(member) ?? 1
      if (this.silent.has(member) || delayMs > timeoutMs)
        this.clock.setTimeout(() => reject(failure('DEADLINE', 'no answer')), timeoutMs)
      else this.clock.setTimeout(() => resolve(encodeAnswer(this.#served(member))), delayMs)
    })
  }

  #served(member: string): Answer {
    const view = this.#viewOf(this.leader)
    return member === this.leader
      ? { kind: 'result', bytes: new Uint8Array(), view }
      : { kind: 'view', view }
  }
}

describe('a client of the voters', () => {
  for (let seed = 1; seed <= 20; seed++)
    it(`finds a new leader soon after its election while the old one is silent (seed ${seed})`, async () => {
      const scene = new Scene(seed)
      scene.silent.add('h3')
      const electedMs = 1000 + 130 * seed
      scene.clock.setTimeout(() => Object.assign(scene, { leader: 'h1', term: 2 }), electedMs)
      const { took, error } = await scene.submit()
      expect(error).to.equal(null)
      expect(took).to.be.within(electedMs, electedMs + 500)
    })

  it('has it from a leader that is slow, and asks that one once', async () => {
    const scene = new Scene()
    scene.delayMs.set('h3', 1000)
    const { took, error } = await scene.submit()
    expect(error).to.equal(null)
    expect(took).to.be.within(1000, 1020)
    expect(scene.asked.filter(({ member }) => member === 'h3')).to.have.length(1)
  })

  it('asks a leader that answers nobody else', async () => {
    const scene = new Scene()
    await scene.submit()
    expect(scene.asked.map(({ member }) => member)).to.deep.equal(['h3'])
  })

  it('is told that a majority answers and nobody leads', async () => {
    const scene = new Scene()
    scene.silent.add('h3')
    const { took, error } = await scene.submit()
    expect(took).to.be.within(4500, 4520)
    expect(error).to.include({ code: 'QUORUM' })
    expect(error!.message).to.contain(
      'a majority of the 3 voters (h1, h2, h3) answers, h3 does not, but none leads yet',
    )
  })

  it('is told who is missing from a majority, and the command that heals', async () => {
    const scene = new Scene()
    scene.silent.add('h3')
    scene.states.set('h2', 'dead')
    const { error } = await scene.submit()
    expect(error!.message).to.contain('no majority of the 3 voters (h1, h2, h3) answers: h2, h3 do')
    expect(error!.message).to.contain('ts-overlay recover')
  })

  it('does not ask in a hurry while nobody leads', async () => {
    const scene = new Scene()
    scene.leader = ''
    await scene.submit()
    expect(scene.asked.length).to.be.below(60)
  })
})
