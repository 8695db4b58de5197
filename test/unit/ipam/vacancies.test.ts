import { expect } from 'chai'
import type { Roster } from '../../../src/ipam/voting/roster.ts'
import { Vacancies, vacateAfterMs } from '../../../src/ipam/voting/vacancies.ts'

const minuteMs = 60_000

/** Everybody of `names` votes; those of `dead` do not answer. */
function seen(names: string, dead: string): [Roster, Map<string, 'alive' | 'dead'>] {
  const voters = Array.from(names).map((name) => ({ name, id: name }))
  const states = new Map(
    Array.from(names).map((name) => [name, dead.includes(name) ? 'dead' : 'alive']),
  )
  const roster = { root: 'r', founded: 1, number: 1, tag: 't', voters, absent: [] }
  return [roster, states as Map<string, 'alive' | 'dead'>]
}

describe('whose seats are to be vacated', () => {
  /* Who votes, who is dead for ten minutes, whose seats the first that lives proposes to vacate. */
  for (const [names, dead, due] of [
    ['abcde', 'e', 'e'],
    ['abcde', 'de', 'de'],
    ['abcde', 'cde', ''],
    ['abcd', 'd', 'd'],
    ['abcd', 'cd', ''],
    ['abc', 'c', ''],
    ['ab', 'b', ''],
    ['a', '', ''],
  ] as const) {
    it(`${dead || 'nobody'} of ${names} dead: ${due || 'nobody'}'s`, () => {
      const vacancies = new Vacancies(vacateAfterMs)
      const [roster, states] = seen(names, dead)
      expect(vacancies.due(roster, 'a', states, 0)).to.deep.equal([])
      expect(vacancies.due(roster, 'a', states, vacateAfterMs - 1)).to.deep.equal([])
      expect(vacancies.due(roster, 'a', states, vacateAfterMs)).to.deep.equal(Array.from(due))
    })
  }

  it('one that was back for a moment is counted anew, and so is one that was given its seat again', () => {
    const vacancies = new Vacancies(vacateAfterMs)
    const [roster, away] = seen('abcde', 'e')
    vacancies.due(roster, 'a', away, 0)
    vacancies.due(roster, 'a', seen('abcde', '')[1], 5 * minuteMs)
    expect(vacancies.due(roster, 'a', away, 6 * minuteMs)).to.deep.equal([])
    expect(vacancies.due(roster, 'a', away, 15 * minuteMs)).to.deep.equal([])
    expect(vacancies.due(roster, 'a', away, 16 * minuteMs)).to.deep.equal(['e'])
    vacancies.due(seen('abcd', '')[0], 'a', away, 17 * minuteMs)
    expect(vacancies.due(roster, 'a', away, 18 * minuteMs)).to.deep.equal([])
  })

  it('the living propose one after the other, and again when nothing came of it', () => {
    const vacancies = new Vacancies(vacateAfterMs)
    const [roster, states] = seen('abcde', 'ae')
    vacancies.due(roster, 'c', states, 0)
    expect(vacancies.due(roster, 'c', states, vacateAfterMs)).to.deep.equal([])
    const second = vacateAfterMs + 2000
    expect(vacancies.due(roster, 'c', states, second)).to.deep.equal(['a', 'e'])
    vacancies.postpone(second)
    expect(vacancies.due(roster, 'c', states, second + 1)).to.deep.equal([])
    expect(vacancies.due(roster, 'c', states, second + minuteMs)).to.deep.equal(['a', 'e'])
  })

  it('who saw no majority for a moment, or had no seat, counts anew', () => {
    const [roster, states] = seen('abcde', 'e')
    for (const [pause, self] of [
      [seen('abcde', 'cde'), 'a'],
      [seen('bcde', 'e'), 'a'],
    ] as const) {
      const vacancies = new Vacancies(vacateAfterMs)
      vacancies.due(roster, self, states, 0)
      vacancies.due(pause[0], self, pause[1], 5 * minuteMs)
      expect(vacancies.due(roster, self, states, 6 * minuteMs)).to.deep.equal([])
      expect(vacancies.due(roster, self, states, 15 * minuteMs)).to.deep.equal([])
      expect(vacancies.due(roster, self, states, 16 * minuteMs)).to.deep.equal(['e'])
    }
  })

  it('one that nobody knows any more is dead', () => {
    const vacancies = new Vacancies(vacateAfterMs)
    const [roster, states] = seen('abcd', '')
    states.delete('d')
    vacancies.due(roster, 'a', states, 0)
    expect(vacancies.due(roster, 'a', states, vacateAfterMs)).to.deep.equal(['d'])
  })
})
