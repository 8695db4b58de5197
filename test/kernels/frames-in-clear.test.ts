/**
 * An encrypted overlay of two data planes, with everything broken that a kernel can have broken.
 * Containers send marked packets in both directions, small and of the full size, and every frame on
 * the underlay is looked at: none is ever in the clear.
 */
import { expect } from 'chai'
import { execa } from 'execa'
import type { WireGuardPeer } from '../../src/dataplane/wireguard.ts'
import { newWireGuardKeys } from '../../src/dataplane/reconcile/key-rotation.ts'
import type { Ip } from '../../src/net/ip.ts'
import { type LabContainer, type LabHost, LabUnderlay } from '../netns/lab-host.ts'
import { NetnsLab } from '../netns/netns-lab.ts'
import { until } from '../support/lab/processes.ts'
import { UnderlayCapture, clearMark } from '../netns/underlay-capture.ts'
import { changeKey, removePeers } from './wireguard-damage.ts'
import { withoutWireGuard } from './without-wireguard.ts'

type Keys = ReturnType<typeof newWireGuardKeys>
const fullSize = 1390
const presharedKey = Buffer.alloc(32, 1).toString('base64')
const otherPresharedKey = Buffer.alloc(32, 2).toString('base64')

/** Two hosts with a container each on the overlay `secret`. */
class World {
  readonly lab: NetnsLab
  readonly underlay: string
  readonly hosts: LabHost[] = []
  readonly keys: Keys[] = []
  readonly containers: LabContainer[] = []

  constructor(lab: NetnsLab) {
    this.lab = lab
    this.underlay = `${lab.directory}/underlay`
  }

  pin(index: number): string {
    return `${this.hosts[index]!.directory}/wireguard`
  }

  /** What makes a host able to send: its device, and the other host as a peer. */
  async encrypt(index: number, more: Partial<WireGuardPeer> = {}): Promise<void> {
    const { dataplane, vtep } = this.hosts[index]!
    const other = this.hosts[1 - index]!.vtep
    await dataplane.wireGuard.ensure({ ...this.keys[index]!, listenPort: 51_820, vtep, mtu: 1440 })
    const endpoint = { ip: other, port: 51_820 }
    const { publicKey } = this.keys[1 - index]!
    const peer = { publicKey, presharedKey, endpoint, vtep: other, keepaliveSeconds: 0, ...more }
    await dataplane.wireGuard.setPeers(() => [peer])
  }

  /** The overlay on a host: as the driver asks for it. */
  async links(index: number, encrypted: boolean): Promise<void> {
    const host = this.hosts[index]!
    const links = { ...(await host.links('secret', 5001)), mtu: fullSize, encrypted }
    await host.dataplane.ensureOverlay(links)
    this.containers[index] ??= await host.startContainer(links, `10.30.0.${10 + index}` as Ip)
  }

  /** Packets of both containers, small and of the full size. @returns how many were answered. */
  async exchange(): Promise<number> {
    const [a, b] = this.containers as [LabContainer, LabContainer]
    const answered = await Promise.all(
      [56, fullSize - 28].flatMap((size) =>
        [[a, b] as const, [b, a] as const].map(async ([from, to]) => {
          const ping = [
            'ping',
            '-n',
            '-c',
            '2',
            '-i',
            '0.2',
            '-W',
            '1',
            '-M',
            'do',
            '-s',
            `${size}`,
          ]
          const words = [`--net=${from.netns}`, ...ping, '-p', clearMark.toString('hex'), to.ip]
          return !(await execa('nsenter', words, { reject: false })).failed
        }),
      ),
    )
    return answered.filter(Boolean).length
  }
}

interface Damage {
  readonly what: string
  readonly act: (world: World) => Promise<unknown>
  /** How many of the four ways packets still pass; none when it is not given. */
  readonly passing?: number
}

const bridgeRule =
  'add table bridge lab; add chain bridge lab cut { type filter hook forward priority 0; }; ' +
  'add rule bridge lab cut udp dport 51820 drop'

const damages: readonly Damage[] = [
  { what: 'one host has no peer', act: async (world) => removePeers(world.pin(0)) },
  { what: "a host's private key is another", act: async (world) => changeKey(world.pin(1)) },
  {
    what: 'the preshared keys are not the same',
    act: async (world) => {
      removePeers(world.pin(0))
      await world.encrypt(0, { presharedKey: otherPresharedKey })
    },
  },
  {
    what: 'the device is removed',
    act: (world) => world.lab.run(world.pin(0), 'ip', 'link', 'del', 'wg0'),
  },
  {
    what: 'the device is down',
    act: (world) => world.lab.run(world.pin(1), 'ip', 'link', 'set', 'wg0', 'down'),
  },
  {
    what: 'the namespace of the device is let go',
    act: (world) => world.hosts[0]!.dataplane.wireGuard.remove(),
  },
  {
    what: 'a firewall drops the port of WireGuard',
    act: (world) => world.lab.run(world.underlay, 'nft', bridgeRule),
  },
  {
    what: 'the data plane has ended: its tunnels stay',
    act: (world) => world.hosts[0]!.dataplane.close(),
    passing: 4,
  },
  {
    what: 'the data plane has ended and its peer is gone',
    act: async (world) => {
      await world.hosts[0]!.dataplane.close()
      removePeers(world.pin(0))
    },
  },
  {
    what: 'the MTU of the underlay is too small',
    act: (world) =>
      world.lab.run(world.hosts[1]!.netns, 'ip', 'link', 'set', 'eth0', 'mtu', '1300'),
    passing: 2,
  },
]

describe('no frame of an encrypted overlay is in the clear when', function () {
  this.timeout(60_000)
  let world: World
  let capture: UnderlayCapture

  before(function () {
    const obstacle = withoutWireGuard()
    if (obstacle === null) return
    process.stdout.write(`frames in the clear skipped: ${obstacle}\n`)
    this.skip()
  })

  beforeEach(async () => {
    const lab = await NetnsLab.create()
    const underlay = await LabUnderlay.create(lab)
    world = new World(lab)
    for (const keys of [newWireGuardKeys(), newWireGuardKeys()]) {
      world.hosts.push(await underlay.addHost())
      world.keys.push(keys)
    }
    capture = new UnderlayCapture(world.underlay)
    for (const index of [0, 1]) {
      await world.encrypt(index)
      await world.links(index, true)
    }
    const [a, b] = world.hosts as [LabHost, LabHost]
    await a.learn(world.containers[1]!, b.vtep)
    await b.learn(world.containers[0]!, a.vtep)
    // The first packets may wait for the handshake, and a starved machine loses more.
    await until(async () => (await world.exchange()) === 4, 'all four ways to pass')
    const { clear, missed, encrypted } = await capture.take()
    expect({ clear, missed }).to.deep.equal({ clear: [], missed: 0 })
    expect(encrypted).to.be.greaterThan(0)
  })

  afterEach(async () => {
    capture.close()
    for (const host of world.hosts) await host.close()
    world.lab.close()
  })

  it('nothing is broken, and what looks for such frames finds them', async () => {
    const { lab, hosts } = world
    const [a, b] = hosts as [LabHost, LabHost]
    await lab.run(a.netns, 'ping', '-c', '1', '-p', clearMark.toString('hex'), b.vtep)
    await lab.run(a.netns, 'bash', '-c', `echo > /dev/udp/${b.vtep}/4789`)
    const { clear } = await capture.take()
    expect(clear.join()).to.contain('a packet in the clear').and.contain('VXLAN in the clear')
  })

  for (const { what, act, passing = 0 } of damages)
    it(what, async () => {
      await act(world)
      await world.exchange()
      expect(await world.exchange(), 'ways that pass').to.equal(passing)
      const { clear, missed } = await capture.take()
      expect({ clear, missed }).to.deep.equal({ clear: [], missed: 0 })
    })
})
