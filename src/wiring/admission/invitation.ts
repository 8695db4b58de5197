/** Join tokens that a member makes, and the line that installs the plugin on another host. */
import type { Clock } from '../../base/clock.ts'
import type { ConsensusClient } from '../../consensus/ports.ts'
import {
  type IssuedToken,
  type JoinToken,
  formatJoinToken,
} from '../../identity/enrolment/join-token.ts'
import { submit } from './commands.ts'

/** A token holds for a day, unless the operator says otherwise. */
const tokenValidityMs = 86_400_000
/** The plugin does not know under which name its engine has it. */
const plugin = 'ts-overlay/ts-overlay'
/** Hosts in JOIN: one that answers is enough, and some may be away later. */
const maxJoin = 3

export interface Invitation {
  readonly validMs?: number
  /** How many hosts may join with the token; any number when absent. */
  readonly uses?: number
  /** All other tokens end. */
  readonly rotate?: boolean
  /** Those that all hosts have to have alike, where they are not the defaults. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Has the token agreed on. Resolves with the line for the next host. */
export async function invite(
  parts: {
    readonly clock: Clock
    readonly consensus: Pick<ConsensusClient, 'submit'>
    readonly members: () => readonly string[]
  },
  token: JoinToken,
  { validMs = tokenValidityMs, uses, rotate = false, settings = {} }: Invitation,
): Promise<string> {
  const { clock, consensus, members } = parts
  const notAfter = clock.wall() + validMs
  const issued: IssuedToken = { token, notAfter, usesLeft: uses ?? null }
  if (rotate) await submit(consensus, 'removeTokens', { ids: [] })
  await submit(consensus, 'addToken', issued)
  const join = members().slice(0, maxJoin).join(',')
  const pairs = { JOIN: join, TOKEN: formatJoinToken(token), ...settings }
  const words = Object.entries(pairs).map(([name, value]) => `${name}=${quoted(value)}`)
  return `docker plugin install ${plugin} ${words.join(' ')}`
}

/** As a shell takes it. */
function quoted(value: string): string {
  return /^[\w.,:/[\]-]*$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`
}
