import { Cards } from './cards.tsx'
import { counted } from './model.ts'
import type { MapProps } from './pressable.ts'
import { Ring } from './ring.tsx'

/** With more hosts than this there is no room for their containers' names. */
const maxCards = 6

/** The cluster, drawn: a card for each of a few hosts, a ring of many. */
export function Map(props: MapProps) {
  const { hosts, networks, containers } = props.view
  const counts = `${counted(hosts.length, 'host')}, ${counted(networks.length, 'network')}, ${counted(containers.length, 'container')}`
  return (
    <figure class="map" aria-label={`${counts}, drawn; the list has the same in words`}>
      {hosts.length <= maxCards ? <Cards {...props} /> : <Ring {...props} />}
    </figure>
  )
}
