import { refusal } from '../base/errors.ts'
import { parseMtu } from '../net/mtu.ts'
import { isOverlayId } from '../net/pool-key.ts'
import { type Vni, parseVni } from '../net/vni.ts'

/** The options of `docker network create -o key=value`. */
interface NetworkOptions {
  /** The name of the overlay that this network attaches to. */
  readonly overlay: string | null
  readonly vni: Vni | null
  /** Bytes, of the containers' links. */
  readonly mtu: number | null
  /** Whether containers may send from addresses that are not theirs. */
  readonly spoofing: 'deny' | 'allow'
  /** Whether what leaves the host is encrypted. */
  readonly encrypted: boolean
  /** Whether multicast and broadcasts reach the containers of other hosts. */
  readonly multicast: boolean
}

const vxlanIdList = 'com.docker.network.driver.overlay.vxlanid_list'

/** The known keys, with what each is for: the answer to an unknown one lists them. */
const known: Readonly<Record<string, string>> = {
  overlay: 'name of the overlay to attach to; networks with the same name are one on all hosts',
  vni: 'VXLAN network identifier, 1 to 16777215',
  [vxlanIdList]: "the same, under the name that Docker's own overlay uses",
  'com.docker.network.driver.mtu': 'MTU of the containers, in bytes',
  spoofing: 'allow lets containers send from addresses that are not theirs; deny is the default',
  encrypted: 'what leaves the host is encrypted; on all hosts or on none',
  multicast:
    'on has multicast and broadcasts reach the containers of other hosts; off is the default',
}

/**
 * Reads the options of a network. An unknown key is refused: it is most often misspelt, and a
 * network that silently lacks what was asked for is worse than none.
 */
export function parseNetworkOptions(options: Readonly<Record<string, string>>): NetworkOptions {
  for (const key of Object.keys(options))
    if (!Object.hasOwn(known, key))
      throw refusal('OPTION_UNKNOWN', `unknown option "${key}"; known options are: ${listed()}`)
  return {
    overlay: overlayName(options['overlay']),
    vni: vniOf(options),
    mtu: mtuOf(options['com.docker.network.driver.mtu']),
    spoofing: spoofingOf(options['spoofing']),
    encrypted: encryptedOf(options['encrypted']),
    multicast: multicastOf(options['multicast']),
  }
}

function listed(): string {
  return Object.entries(known)
    .map(([key, meaning]) => `${key} (${meaning})`)
    .join(', ')
}

function overlayName(text: string | undefined): string | null {
  if (text === undefined || isOverlayId(text)) return text ?? null
  throw refusal(
    'OPTION_INVALID',
    `option overlay="${text}": use 1 to 63 letters, digits, "_", "." or "-", a letter or digit first`,
  )
}

function spoofingOf(text: string | undefined): 'deny' | 'allow' {
  if (text === undefined || text === 'deny') return 'deny'
  if (text === 'allow') return text
  throw refusal('OPTION_INVALID', `option spoofing="${text}": use allow or deny`)
}

/** `-o encrypted` has no value. */
function encryptedOf(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false
  if (text === '' || text === 'true') return true
  throw refusal('OPTION_INVALID', `option encrypted="${text}": use it without a value, or false`)
}

function multicastOf(text: string | undefined): boolean {
  if (text === undefined || text === 'off') return false
  if (text === 'on') return true
  throw refusal('OPTION_INVALID', `option multicast="${text}": use on or off`)
}

function vniOf(options: Readonly<Record<string, string>>): Vni | null {
  const own = options['vni']
  const listed = options[vxlanIdList]
  if (own !== undefined && listed !== undefined && own !== listed)
    throw refusal('OPTION_INVALID', `options vni=${own} and ${vxlanIdList}=${listed} contradict`)
  const text = own ?? listed
  if (text === undefined) return null
  const vni = parseVni(text)
  if (vni !== null) return vni
  throw refusal('OPTION_INVALID', `option vni="${text}": use one number from 1 to 16777215`)
}

function mtuOf(text: string | undefined): number | null {
  if (text === undefined) return null
  const mtu = parseMtu(text)
  if (mtu !== null) return mtu
  throw refusal(
    'OPTION_INVALID',
    `option com.docker.network.driver.mtu="${text}": use a number of bytes from 68 to 65485`,
  )
}
