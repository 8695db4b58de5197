import { OverlayError } from '../../../src/base/errors.ts'
import type { Host } from './host.ts'

/**
 * What an operator does about a network whose removal the plugin never heard of, because the calls' connections broke, or
 * forgot, because its disk was full and the process ended. Nobody but the engine knows then that the network is gone.
 * Whether there was anything to do.
 */
export async function repair(hosts: readonly Host[]): Promise<boolean> {
  let count = 0
  for (const { engine, process } of hosts) {
    for (const subnet of engine.unheard) {
      engine.unheard.delete(subnet)
      const all = [...engine.networks.values()]
      if (all.some(({ pools }) => pools.some((pool) => pool.subnet === subnet))) continue
      count++
      const { network } = process!.plugin!
      const left = network.networks().filter(({ pools }) => pools.some((pool) => pool === subnet))
      for (const { networkId } of left)
        network.dropNetwork(networkId).catch((error: unknown) => {
          if (!(error instanceof OverlayError)) throw error
        })
      void engine.createNetwork(subnet).then(() => engine.removeNetwork(subnet))
    }
  }
  return count > 0
}
