import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { EngineVersion, FakeEngine } from '../support/fake-engine.ts'

/** One line of a recording; README.md beside this file tells what each field means. */
export interface RecordedRequest {
  readonly scenario: 'life' | 'faults' | 'restarts'
  readonly step: string
  readonly call: string
  readonly body: string | null
  readonly gives?: string
  readonly made?: boolean
}

/** A request as it was really sent, and what it was answered with. */
export interface Exchange {
  readonly recorded: RecordedRequest
  readonly body: string | null
  readonly answer: Readonly<Record<string, unknown>>
}

/** All requests that an engine of this version sent, in order. */
export function recordingOf(version: EngineVersion): RecordedRequest[] {
  const path = resolve(import.meta.dirname, 'recordings', `${version}.jsonl`)
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RecordedRequest)
}

/** The requests by scenario. */
export function scenariosOf(version: EngineVersion): ReadonlyMap<string, RecordedRequest[]> {
  return Map.groupBy(recordingOf(version), ({ scenario }) => scenario)
}

/** What the names in bodies stand for, as far as the answers have told. */
class Names {
  readonly #values = new Map<string, string>()
  readonly #salt: string

  constructor(salt: string) {
    this.#salt = salt
  }

  set(name: string, value: unknown): void {
    this.#values.set(name, String(value))
  }

  learn(gives: string, answer: Readonly<Record<string, unknown>>): void {
    if (gives.startsWith('$POOL')) {
      this.set(gives, answer['PoolID'])
      this.set(gives.replace('POOL', 'CIDR'), answer['Pool'])
    } else {
      const address = String(answer['Address'])
      this.set(gives, address)
      this.set(gives.replace('ADDRESS', 'IP'), address.split('/')[0])
    }
  }

  fill(body: string): string {
    return body.replaceAll(/\$[A-Z]+\d*/g, (name) =>
      JSON.stringify(this.#valueOf(name)).slice(1, -1),
    )
  }

  #valueOf(name: string): string {
    const value = this.#values.get(name)
    if (value !== undefined) return value
    if (!/^\$(NET|EP)/.test(name)) throw new Error(`${name} was never given`)
    return createHash('sha256').update(`${this.#salt} ${name}`).digest('hex')
  }
}

/** Sends the requests one after another, each once the one before was answered well. */
export async function* replay(
  engine: FakeEngine,
  requests: readonly RecordedRequest[],
): AsyncGenerator<Exchange> {
  const names = new Names(`${engine.version} ${requests[0]?.scenario}`)
  const spaces = await engine.call('IpamDriver.GetDefaultAddressSpaces', null)
  names.set('$SPACE', spaces['LocalDefaultAddressSpace'])
  for (const recorded of requests) {
    const body = recorded.body === null ? null : names.fill(recorded.body)
    const answer = await engine.call(recorded.call, body)
    if (recorded.gives !== undefined) names.learn(recorded.gives, answer)
    yield { recorded, body, answer }
  }
}
