import type { Host } from '../host.ts'

/** Something that must hold of all hosts once nothing is under way and every fault has ended. */
export interface Checker {
  readonly name: string
  /** What does not hold, in words; empty when all is right. */
  check(hosts: readonly Host[]): string[]
}

/** At most so many findings of one kind are told. */
const maxFindings = 12

/** Where two maps differ; `what` says whose they are. */
export function differences(
  what: string,
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string[] {
  const lines: string[] = []
  for (const [key, value] of expected)
    if (found.get(key) !== value) lines.push(`${what}: ${key} is ${found.get(key)}, not ${value}`)
  for (const [key, value] of found)
    if (!expected.has(key)) lines.push(`${what}: ${key} is ${value}, and should not be`)
  return lines.slice(0, maxFindings)
}
