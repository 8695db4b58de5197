import { isOverlayId } from '../net/pool-key.ts'
import { refusal } from '../base/errors.ts'
import { parseMtu } from '../net/mtu.ts'
import { type Vni, parseVni } from '../net/vni.ts'

/** What `docker network create -o key=value` can say to this driver. */
export interface NetworkOptions {
  /** The overlay that this network attaches to, by the name its operators gave it. */
  readonly overlay: string | null
  readonly vni: Vni | null
  /** Bytes, of the containers' links. */
  readonly mtu: number | null
}

const vxlanIdList = 'com.docker.network.driver.overlay.vxlanid_list'

/** The known keys, with what each is for: the answer to an unknown one lists them. */
const known: Readonly<Record<string, string>> = {
  overlay: 'name of the overlay to attach to; networks with the same name are one on all hosts',
  vni: 'VXLAN network identifier, 1 to 16777215',
  [vxlanIdList]: "the same, under the name that Docker's own overlay uses",
  'com.docker.network.driver.mtu': 'MTU of the containers, in bytes',
}

/**
 * Reads the options of a network. An unknown key is refused rather than ignored: it is most often a
 * misspelt one, and a network that silently lacks what was asked for is worse than none.
 */
export function parseNetworkOptions(options: Readonly<Record<string, string>>): NetworkOptions {
  for (const key of Object.keys(options))
    if (!Object.hasOwn(known, key))
      throw refusal('OPTION_UNKNOWN', `unknown option "${key}"; known options are: ${listed()}`)
  return {
    overlay: overlayName(options['overlay']),
    vni: vniOf(options),
    mtu: mtuOf(options['com.docker.network.driver.mtu']),
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
