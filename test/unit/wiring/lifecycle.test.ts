import { expect } from 'chai'
import { lifecyclesOf } from '../../../src/wiring/lifecycle.ts'
import type { PluginPorts } from '../../../src/wiring/ports/plugin-ports.ts'
import type { Rooms } from '../../../src/wiring/rooms.ts'

/** Rooms that only note which of their verbs are called. */
function notingRooms({ isMember = true } = {}) {
  const calls: string[] = []
  const room = (name: string): unknown =>
    new Proxy(
      {},
      {
        get: (_, verb) => {
          if (verb === 'isMember') return isMember
          return async (...args: unknown[]) => {
            calls.push(
              [`${name}.${String(verb)}`, ...args.map((arg) => JSON.stringify(arg))].join(' '),
            )
            return verb === 'withdrawIdle'
          }
        },
      },
    )
  const names = [
    'cluster',
    'consensus',
    'reconciler',
    'ipam',
    'driver',
    'findings',
    'seedCache',
    'memberEvents',
    'admission',
    'encryption',
  ]
  const named = Object.fromEntries(names.map((name) => [name, room(name)]))
  const rooms = { ...named, join: () => calls.push('join') } as unknown as Rooms
  const ports = { dataplane: room('dataplane') } as unknown as PluginPorts
  return { calls, lifecycles: lifecyclesOf(rooms, ports) }
}

describe('wiring/lifecycle', () => {
  it('starts the cluster first and joins last', async () => {
    const { calls, lifecycles } = notingRooms()
    for (const room of lifecycles) await room.start?.()
    expect(calls[0]).to.equal('cluster.start')
    expect(calls.at(-1)).to.equal('join')
    expect(calls.indexOf('driver.start')).to.be.below(calls.indexOf('ipam.start'))
    expect(calls.indexOf('encryption.start')).to.be.below(calls.indexOf('driver.start'))
  })

  it('does not join while this host is no member', async () => {
    const { calls, lifecycles } = notingRooms({ isMember: false })
    for (const room of lifecycles) await room.start?.()
    expect(calls).to.include('admission.start').and.not.include('join')
  })

  it('announces a restart when containers go on, and leaves and returns blocks when none do', async () => {
    const serving = notingRooms()
    for (const room of serving.lifecycles.toReversed()) await room.stop?.(true)
    expect(serving.calls).to.include('cluster.announceRestart').and.not.include('cluster.leave')
    expect(serving.calls.some((call) => call.startsWith('ipam.left'))).to.equal(false)
    const idle = notingRooms()
    for (const room of idle.lifecycles.toReversed()) await room.stop?.(false)
    expect(idle.calls).to.include('cluster.leave').and.not.include('cluster.announceRestart')
    const order = ['ipam.left 1500', 'driver.stop', 'reconciler.stop false', 'cluster.leave']
    const places = order.map((call) => idle.calls.indexOf(call))
    expect(places)
      .to.deep.equal(places.toSorted((a, b) => a - b))
      .and.not.include(-1)
    expect(idle.calls.at(-1)).to.equal('dataplane.close')
  })
})
