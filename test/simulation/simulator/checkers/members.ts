import type { Checker } from './checker.ts'

/** Every host sees exactly the hosts there are, all of them alive. */
export const members: Checker = {
  name: 'members',
  check: (hosts) => {
    const names = hosts.map(({ name }) => name).toSorted()
    return hosts.flatMap(({ name, process }) => {
      if (process?.isReady !== true) return [`${name} is not up`]
      const seen = process.plugin!.cluster.members()
      const alive = seen.filter(({ state }) => state === 'alive').map((member) => member.name)
      const text = alive.toSorted().join(' ')
      return text === names.join(' ') ? [] : [`${name} sees as alive: ${text}`]
    })
  },
}
