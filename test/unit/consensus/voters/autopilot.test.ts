import { expect } from 'chai'
import fc from 'fast-check'
import {
  type ServerHealth,
  type VotersState,
  deadMs,
  nextVotersChange,
  sparesOf,
  stableMs,
  wantedOf,
} from '../../../../src/consensus/voters/autopilot.ts'
import { isSingleChange } from '../../../../src/consensus/core/configuration.ts'

const healthy: ServerHealth = {
  silentMs: 0,
  isAnswering: true,
  isGone: false,
  isReady: true,
}
const dead: ServerHealth = { ...healthy, silentMs: deadMs, isAnswering: false, isReady: false }
const gone: ServerHealth = { ...healthy, isGone: true }

function stateOf(
  voters: string[],
  more: Partial<VotersState> & { learners?: string[]; ill?: Record<string, ServerHealth> } = {},
): VotersState {
  const { learners = [], ill = {}, ...rest } = more
  return {
    self: voters[0]!,
    configuration: { voters, learners },
    wanted: 5,
    spares: [],
    health: (id) => ill[id] ?? healthy,
    ...rest,
  }
}

const votersAfter = (state: VotersState): readonly string[] | null => {
  const change = nextVotersChange(state)
  return change?.kind === 'configure' ? change.configuration.voters : null
}

describe('the voters and their replacement', () => {
  it('are as many as wanted, odd, but two of two', () => {
    expect([1, 2, 3, 4, 5, 6, 100].map((n) => wantedOf(5, n))).to.deep.equal([1, 2, 3, 3, 5, 5, 5])
    expect(wantedOf(1, 100)).to.equal(1)
  })

  it('grow by a learner first, and by a voter once it has the log', () => {
    const spares = ['b', 'c']
    expect(nextVotersChange(stateOf(['a#1'], { spares }))).to.deep.equal({
      kind: 'enroll',
      member: 'b',
    })
    const late = { 'b#1': { ...healthy, isReady: false } }
    expect(nextVotersChange(stateOf(['a#1'], { spares, learners: ['b#1'], ill: late }))).to.equal(
      null,
    )
    expect(votersAfter(stateOf(['a#1'], { spares, learners: ['b#1'] }))).to.deep.equal([
      'a#1',
      'b#1',
    ])
  })

  it('keep one that has left while the one that would be left over has not been heard', () => {
    const silent = { ...healthy, isAnswering: false }
    const ill = { 'b#1': silent, 'c#1': gone }
    expect(nextVotersChange(stateOf(['a#1', 'b#1', 'c#1'], { ill }))).to.equal(null)
  })

  it('lose a dead one only when another is ready, so that it may come back', () => {
    const ill = { 'c#1': dead }
    const three = ['a#1', 'b#1', 'c#1']
    expect(nextVotersChange(stateOf(three, { ill }))).to.equal(null)
    expect(nextVotersChange(stateOf(three, { ill, spares: ['d'] }))).to.deep.equal({
      kind: 'enroll',
      member: 'd',
    })
    expect(votersAfter(stateOf(three, { ill, learners: ['d#1'] }))).to.deep.equal(['a#1', 'b#1'])
    expect(votersAfter(stateOf(['a#1', 'b#1'], { learners: ['d#1'] }))).to.have.length(3)
  })

  it('lose a dead one of four: the majority of three is smaller', () => {
    const ill = { 'd#1': dead }
    expect(votersAfter(stateOf(['a#1', 'b#1', 'c#1', 'd#1'], { ill }))).to.have.length(3)
  })

  it('lose at once one that never comes back, but never the majority', () => {
    const three = ['a#1', 'b#1', 'c#1']
    expect(votersAfter(stateOf(three, { ill: { 'b#1': gone } }))).to.deep.equal(['a#1', 'c#1'])
    expect(votersAfter(stateOf(three, { ill: { 'b#1': gone, 'c#1': dead } }))).to.equal(null)
  })

  it('become fewer when the setting says so, the leader last', () => {
    expect(votersAfter(stateOf(['a#1', 'b#1', 'c#1'], { wanted: 1 }))).to.deep.equal(['a#1', 'b#1'])
  })

  it('come to rest, one allowed change at a time, with a majority that answers', () => {
    const conditions = fc.constantFrom(healthy, dead, gone)
    const setting = fc.constantFrom(1, 3, 5, 7)
    fc.assert(
      fc.property(
        fc.array(conditions, { maxLength: 6 }),
        fc.nat({ max: 8 }),
        setting,
        (others, spare, wanted) => {
          const ill: Record<string, ServerHealth> = {}
          others.forEach((health, i) => (ill[`v${i}#1`] = health))
          let configuration = { voters: ['self#1', ...Object.keys(ill)], learners: [] as string[] }
          let spares = Array.from({ length: spare }, (_, i) => `s${i}`)
          const answering = configuration.voters.filter((id) => (ill[id] ?? healthy) === healthy)
          const hadMajority = answering.length > configuration.voters.length / 2
          for (let steps = 0; steps < 60; steps++) {
            const health = (id: string): ServerHealth => ill[id] ?? healthy
            const change = nextVotersChange({
              self: 'self#1',
              configuration,
              wanted,
              spares,
              health,
            })
            if (change === null) return
            if (change.kind === 'enroll') {
              spares = spares.filter((name) => name !== change.member)
              const learners = [...configuration.learners, `${change.member}#1`]
              configuration = { ...configuration, learners }
            } else {
              expect(isSingleChange(configuration, change.configuration)).to.equal(true)
              expect(change.configuration.voters).to.include('self#1')
              const alive = change.configuration.voters.filter((id) => health(id) === healthy)
              if (hadMajority)
                expect(alive.length * 2 > change.configuration.voters.length).to.equal(true)
              configuration = {
                voters: [...change.configuration.voters],
                learners: [...change.configuration.learners],
              }
            }
          }
          expect.fail(`no rest: ${JSON.stringify(configuration)}`)
        },
      ),
    )
  })

  it('take as spares only members that have been alive for a while and have no server', () => {
    const members = [
      { name: 'a', state: 'alive', sinceMs: 0 },
      { name: 'b', state: 'alive', sinceMs: 1 },
      { name: 'c', state: 'suspect', sinceMs: 0 },
      { name: 'd', state: 'alive', sinceMs: 0 },
    ] as const
    const configuration = { voters: ['a#1'], learners: [] }
    expect(sparesOf(members, configuration, stableMs)).to.deep.equal(['d'])
  })
})
