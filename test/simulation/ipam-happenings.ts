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
  evict: 1,
  cutOneWay: 2,
  skew: 1,
  copyDisk: 3,
  oldDisk: 2,
  fillDisk: 4,
  makeRoom: 4,
  remove: 3,
  idle: 1,
} as const
export type Happening = keyof typeof happenings
const comings: readonly Happening[] = ['loseDisk', 'join', 'leave', 'evict']
/** What is given back while a disk is full must stay with its owner. */
const fillings: readonly Happening[] = ['fillDisk', 'makeRoom', 'remove', 'idle']

const oldDisks: readonly Happening[] = ['copyDisk', 'oldDisk']

/** One of them at random; hosts come and go, and disks fill up, only if they may. */
export function chooseHappening(
  random: Random,
  may: { comingAndGoing: boolean; fullDisks?: boolean; oldDisks?: boolean },
): Happening {
  const possible = (Object.keys(happenings) as Happening[]).filter(
    (happening) =>
      (may.comingAndGoing || !comings.includes(happening)) &&
      (may.fullDisks === true || !fillings.includes(happening)) &&
      (may.oldDisks === true || !oldDisks.includes(happening)),
  )
  const total = possible.reduce((sum, happening) => sum + happenings[happening], 0)
  let left = below(random, total)
  for (const happening of possible) {
    left -= happenings[happening]
    if (left < 0) return happening
  }
  return 'take'
}
