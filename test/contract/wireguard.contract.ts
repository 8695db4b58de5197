import { expect } from 'chai'
import { OverlayError } from '../../src/base/errors.ts'
import type { WireGuard, WireGuardDevice, WireGuardPeer } from '../../src/dataplane/wireguard.ts'
import type { Ip } from '../../src/net/ip.ts'
import { newWireGuardKeys } from '../../src/dataplane/reconcile/key-rotation.ts'

/** A host's WireGuard. */
export interface WireGuardBench {
  readonly wireGuard: WireGuard
  /** Another process on the same host, as after a restart. */
  restart(): Promise<WireGuard>
  close(): Promise<void>
}

/** What every WireGuard must do. Each test gets a bench of its own. */
export function wireGuardContract(open: () => Promise<WireGuardBench>): void {
  let bench: WireGuardBench
  const device: WireGuardDevice = {
    ...newWireGuardKeys(),
    listenPort: 51_820,
    vtep: '192.0.2.1' as Ip,
    mtu: 1440,
  }

  const peer = (n: number): WireGuardPeer => ({
    publicKey: newWireGuardKeys().publicKey,
    presharedKey: n % 2 === 0 ? Buffer.alloc(32, 1 + (n % 255)).toString('base64') : null,
    endpoint: { ip: `192.0.2.${n % 250}` as Ip, port: 51_820 },
    vtep: `198.18.${n >> 8}.${n & 255}` as Ip,
    keepaliveSeconds: n % 3 === 0 ? 25 : 0,
  })

  const changed = async (wanted: () => WireGuardPeer[]): Promise<number> =>
    (await bench.wireGuard.setPeers(wanted)).changed

  beforeEach(async () => {
    bench = await open()
  })

  afterEach(async () => {
    await bench.close()
  })

  it('makes a device once, and finds it again after a restart', async () => {
    expect(await bench.wireGuard.dump()).to.equal(null)
    expect(await bench.wireGuard.ensure(device)).to.not.deep.equal([])
    expect(await bench.wireGuard.ensure(device)).to.deep.equal([])
    const { publicKey, listenPort } = device
    const found = { publicKey, listenPort, peers: [] }
    expect(await bench.wireGuard.dump()).to.deep.equal(found)
    const next = await bench.restart()
    expect(await next.dump()).to.deep.equal(found)
    expect(await next.ensure(device)).to.deep.equal([])
  })

  it('changes the key, the port, the address and the MTU, and keeps the peers', async () => {
    await bench.wireGuard.ensure(device)
    await bench.wireGuard.setPeers(() => [peer(2), peer(3)])
    const changes: Partial<WireGuardDevice>[] = [
      newWireGuardKeys(),
      { listenPort: 51_821 },
      { vtep: '192.0.2.9' as Ip },
      { mtu: 1380 },
    ]
    let now = device
    for (const change of changes) {
      now = { ...now, ...change }
      expect(await bench.wireGuard.ensure(now), JSON.stringify(change)).to.not.deep.equal([])
      expect(await bench.wireGuard.ensure(now), JSON.stringify(change)).to.deep.equal([])
    }
    const found = await bench.wireGuard.dump()
    expect(found?.publicKey).to.equal(now.publicKey)
    expect(found?.listenPort).to.equal(51_821)
    expect(found?.peers).to.have.length(2)
  })

  it('has just the peers that it was given, and writes only what differs', async () => {
    await bench.wireGuard.ensure(device)
    const [a, b, c] = [peer(2), peer(3), peer(4)]
    expect(await changed(() => [a, b])).to.equal(2)
    expect(await changed(() => [b, a])).to.equal(0)
    expect(await changed(() => [b, c])).to.equal(2)
    expect(await changed(() => [b, { ...c, keepaliveSeconds: 7 }])).to.equal(1)
    const keys = (await bench.wireGuard.dump())!.peers.map(({ publicKey }) => publicKey)
    expect(keys.sort()).to.deep.equal([b.publicKey, c.publicKey].sort())
    // A new key takes over the address of an old one.
    const renewed = { ...b, publicKey: newWireGuardKeys().publicKey }
    expect(await changed(() => [renewed, { ...c, keepaliveSeconds: 7 }])).to.equal(2)
    const found = (await bench.wireGuard.dump())!.peers
    const owner = found.find(({ allowed }) => allowed.includes(`${b.vtep}/32`))
    expect(owner?.publicKey).to.equal(renewed.publicKey)
    expect(await changed(() => [])).to.equal(2)
  })

  it('tells what it has, before and after', async () => {
    await bench.wireGuard.ensure(device)
    const [a, b] = [peer(2), peer(3)]
    const keys = (peers: readonly { readonly publicKey: string }[]): string[] =>
      peers.map(({ publicKey }) => publicKey)
    await bench.wireGuard.setPeers((found) => {
      expect(found).to.deep.equal([])
      return [a]
    })
    const { peers } = await bench.wireGuard.setPeers((found) => {
      expect(keys(found)).to.deep.equal([a.publicKey])
      return [b]
    })
    expect(keys(peers)).to.deep.equal([b.publicKey])
  })

  it('has a spare device beside the main one, with key, port, peers and routes of its own', async () => {
    await bench.wireGuard.ensure(device)
    const spare = { ...device, ...newWireGuardKeys(), listenPort: 51_821 }
    expect(await bench.wireGuard.dump('spare')).to.equal(null)
    await bench.wireGuard.remove('spare')
    expect(await bench.wireGuard.ensure(spare, 'spare')).to.not.deep.equal([])
    expect(await bench.wireGuard.ensure(spare, 'spare')).to.deep.equal([])
    expect(await bench.wireGuard.ensure(device)).to.deep.equal([])
    const [a, b] = [peer(2), peer(3)]
    await bench.wireGuard.setPeers(() => [a])
    await bench.wireGuard.setPeers(() => [a, b], 'spare')
    for (const vteps of [[a.vtep, b.vtep], [b.vtep]]) {
      const routed = await bench.wireGuard.routeBySpare(() => vteps)
      expect(routed).to.deep.equal(vteps)
      await bench.wireGuard.routeBySpare((found) => {
        expect([...found].sort()).to.deep.equal(vteps)
        return found
      })
    }
    const found = await (await bench.restart()).dump('spare')
    expect(found?.publicKey).to.equal(spare.publicKey)
    expect(found?.listenPort).to.equal(51_821)
    expect(found?.peers).to.have.length(2)
    await bench.wireGuard.remove('spare')
    await bench.wireGuard.remove('spare')
    expect(await bench.wireGuard.dump('spare')).to.equal(null)
    expect((await bench.wireGuard.dump())?.peers).to.have.length(1)
    const refused = await bench.wireGuard.routeBySpare(() => []).catch((error: unknown) => error)
    expect((refused as OverlayError).code).to.equal('KERNEL')
  })

  it('takes more peers than fit into a message', async () => {
    await bench.wireGuard.ensure(device)
    const many = Array.from({ length: 410 }, (_, n) => peer(n + 2))
    expect(await changed(() => many)).to.equal(410)
    expect(await changed(() => many)).to.equal(0)
    expect((await bench.wireGuard.dump())!.peers).to.have.length(410)
  })

  it('is removed, again and again, and made once more', async () => {
    await bench.wireGuard.remove()
    await bench.wireGuard.ensure(device)
    await bench.wireGuard.remove()
    await bench.wireGuard.remove()
    expect(await bench.wireGuard.dump()).to.equal(null)
    const refused = await bench.wireGuard.setPeers(() => []).catch((error: unknown) => error)
    expect(refused).to.be.instanceOf(OverlayError)
    expect((refused as OverlayError).code).to.equal('KERNEL')
  })
}
