import { type Clock, sleep } from '../../base/clock.ts'
import type { Findings } from '../../base/findings.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { Driver } from '../../driver/driver.ts'
import { isSwarmId } from '../../driver/overlay-parameters.ts'
import type { Engine } from '../../engine-client/engine.ts'
import type { NamesEngine } from '../../names/engine-names.ts'
import { type LocalEndpoint, Names } from '../../names/names.ts'
import type { Store } from '../../store/store.ts'
import { recordEndpointId } from '../ports/driver-ports.ts'
import type { PluginPorts } from '../ports/plugin-ports.ts'
import { namesRecord } from '../records.ts'

const table = 'names'
/** No call of the engine waits longer for a resolver; names come a moment later then. */
const maxWaitMs = 200

/** The names of this host's containers and of all others; null where they are off. */
export function newNames(
  { clock, logger, store, engine, resolvers }: PluginPorts,
  findings: Findings,
  { cluster, driver }: { readonly cluster: Cluster; readonly driver: Driver },
): Names | null {
  if (resolvers === undefined) return null
  const room = findings.room('names')
  return new Names({
    clock,
    logger: logger.child('names'),
    store: namesStore(store),
    resolvers,
    engine: engine === undefined ? null : namesEngine(engine),
    endpoints: () => localEndpoints(driver),
    networks: () => driver.networks().map(({ networkId }) => networkId),
    cannot: (why) =>
      room.raise({
        code: 'NAMES_OFF',
        subject: 'host',
        text: `names of containers on other hosts do not resolve here: ${why}`,
        remedy: 'load the kernel module nf_tables and start the plugin again, or set NAMES=off',
      }),
    publish: ({ vni, endpointId }, names) => {
      const id = recordEndpointId(endpointId)
      if (names === null) cluster.remove(namesRecord, `${vni}/${id}`)
      else cluster.put(namesRecord, { vni, endpointId: id, names })
    },
  })
}

/** Tells of endpoints that joined or left; resolves when their sandboxes have it, or soon. */
export async function endpointsChanged(clock: Clock, names: Names | null): Promise<void> {
  if (names !== null) await Promise.race([names.endpointsChanged(), sleep(clock, maxWaitMs)])
}

/** Those between Join and Leave. In a swarm, the engines resolve each other's names. */
function localEndpoints(driver: Driver): LocalEndpoint[] {
  return driver
    .networksWithEndpoints()
    .filter(({ network }) => !isSwarmId(network.networkId))
    .flatMap(({ network: { vni }, endpoints }) =>
      endpoints
        .filter(({ joined }) => joined)
        .map(({ endpointId, addresses, sandboxKey = null }) => {
          return { endpointId, vni, ips: addresses.map(({ ip }) => ip), sandboxKey }
        }),
    )
}

function namesStore(store: Store): ConstructorParameters<typeof Names>[0]['store'] {
  return {
    entries: () => store.entries(table),
    write: (rows) => store.write(rows.map((row) => ({ table, ...row }))),
  }
}

/** The engine's API as the names need it. */
function namesEngine(engine: Engine): NamesEngine {
  return {
    network: async (id) => {
      const found = await engine.network(id)
      if (found === null) return null
      const containers = Object.entries(found.Containers)
      return {
        name: found.Name,
        containers: containers.map(([containerId, { Name: name, EndpointID: endpointId }]) => {
          return { containerId, name, endpointId }
        }),
      }
    },
    container: async (id) => {
      const found = await engine.container(id)
      if (found === null) return null
      const networks = Object.entries(found.NetworkSettings.Networks)
      return {
        id: found.Id,
        name: found.Name.replace(/^\//, ''),
        hostname: found.Config.Hostname,
        networks: networks.map(([name, attachment]) => ({
          name,
          endpointId: attachment.EndpointID,
          aliases: attachment.Aliases,
          dnsNames: attachment.DNSNames,
        })),
      }
    },
    listen: (listener) =>
      engine.listen({
        connected: () => listener.connected(),
        event: ({ Type: type, Action: action, Actor: { ID: id, Attributes: attributes } }) =>
          listener.event({ type, action, id, containerId: attributes['container'] ?? '' }),
      }),
  }
}
