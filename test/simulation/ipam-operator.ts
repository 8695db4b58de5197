import type { SimulatedHost } from './ipam-host.ts'
import type { Observer } from './ipam-observer.ts'
import type { IpamWorld } from './ipam-world.ts'

/** On the roster and no hosts of ours any more: they were taken away before they could give up their seats. */
export function seatsOfNobody(world: IpamWorld): string[] {
  return [...world.hosts.values()].flatMap(({ ipam }) =>
    ipam
      .members()
      .map(({ name }) => name)
      .filter((name) => !world.hosts.has(name)),
  )
}

/** So many disks were lost at once that the others cannot decide, or hosts taken away: an operator says which. */
export async function operate(world: IpamWorld, observer: Observer): Promise<void> {
  const hosts = [...world.hosts.values()]
  const seated = hosts.filter(({ ipam }) => ipam.status().voter.seated)
  const names = new Set(seated.map(({ name }) => name))
  const last = (seated.length > 0 ? seated : hosts).sort(
    (a, b) => rosterNumber(b) - rosterNumber(a),
  )[0]
  const roster = last?.ipam.status().roster
  if (last === undefined || !roster) return
  const gone = [
    ...roster.voters.filter(({ name }) => !names.has(name)),
    ...roster.absent.filter(({ name }) => !world.hosts.has(name)),
  ].map(({ name }) => name)
  await tell(last, gone, world, observer).catch(async (error: unknown) => {
    // Absent members that lost their disks are not seen to be lost; the refusal names them.
    const advised = /ts-overlay forget (.+)$/.exec(String(error))?.[1]?.split(' ') ?? []
    await tell(last, advised, world, observer).catch(() => {})
  })
}

async function tell(
  host: SimulatedHost,
  gone: readonly string[],
  world: IpamWorld,
  observer: Observer,
): Promise<void> {
  observer.note(`operator: ${host.name} is told to forget ${gone.join(' ')}`)
  await world.run(host.ipam.forget(...gone)).catch((error: unknown) => {
    observer.note(`operator: ${String(error)}`)
    throw error
  })
}

/** Who sits where, for a failure's message. */
export function seatsShown(world: IpamWorld): string {
  const seats = [...world.hosts.values()].map(({ name, ipam }) => {
    const { voter, roster } = ipam.status()
    const voters = roster?.voters.map((other) => `${other.name} ${other.state}`)
    return `${name}(${voter.seated}): ${roster?.cluster} ${roster?.number} ${roster?.changing} [${String(voters)}]`
  })
  return `\n${seats.join('\n')}\n`
}

function rosterNumber(host: SimulatedHost): number {
  return host.ipam.status().roster?.number ?? 0
}
