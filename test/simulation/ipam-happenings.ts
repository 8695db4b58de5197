import { below, type Random } from '../../src/base/random.ts'

/** Weighted things that may happen at a step. */
const happenings = {
  take: 30,
  takeThis: 6,
  free: 14,
  cut: 3,
  heal: 3,
  crash: 3,
  restart: 5,
  weather: 2,
  loseDisk: 1,
  join: 1,
  leave: 1,
  forget: 1,
} as const
export type Happening = keyof typeof happenings
const comings: readonly Happening[] = ['loseDisk', 'join', 'leave', 'forget']

/** One of them at random; hosts come and go only if they may. */
export function chooseHappening(random: Random, comingAndGoing: boolean): Happening {
  const possible = (Object.keys(happenings) as Happening[]).filter(
    (happening) => comingAndGoing || !comings.includes(happening),
  )
  const total = possible.reduce((sum, happening) => sum + happenings[happening], 0)
  let left = below(random, total)
  for (const happening of possible) {
    left -= happenings[happening]
    if (left < 0) return happening
  }
  return 'take'
}
