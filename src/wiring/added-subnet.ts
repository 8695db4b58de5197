import { refusal } from '../base/errors.ts'
import { parseCidr } from '../net/cidr.ts'
import type { Rooms } from './rooms.ts'

/** Adds a subnet to a network of this host, by its name, overlay or the beginning of its id. */
export async function addSubnet(
  { driver, replicator }: Pick<Rooms, 'driver' | 'replicator'>,
  network: string,
  subnet: string,
): Promise<void> {
  const cidr = parseCidr(subnet)
  if (cidr === null)
    throw refusal('BAD_REQUEST', `"${subnet}" is no prefix, or has host bits set; as 10.2.0.0/16`)
  const all = driver.networks()
  const exact = all.filter(
    ({ networkId, overlayId }) =>
      overlayId === network || replicator?.nameOf(networkId) === network,
  )
  const found =
    exact.length > 0 ? exact : all.filter(({ networkId }) => networkId.startsWith(network))
  const [only, ...more] = found
  if (only !== undefined && more.length === 0) return driver.addSubnet(only.networkId, cidr)
  throw refusal(
    'NETWORK_NOT_FOUND',
    `this host has ${found.length} networks "${network}"; "docker tsoverlay networks" lists them`,
  )
}
