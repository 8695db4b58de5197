import { expect } from 'chai'
import { drawOverlay, type DrawnHost } from '../../support/demo-drawing.ts'

function drawn(index: number, names: readonly string[]): DrawnHost {
  return {
    name: `host${index}`,
    engine: '28.5.2',
    vtep: `192.0.2.${index}`,
    containers: names.map((name) => ({
      name,
      address: '10.0.0.2/24',
      mac: '02:42:0a:00:00:02',
      mtu: 1450,
      port: 'tso1b',
    })),
    bridge: 'br0',
    vxlan: { name: 'vxlan0', vni: 4242, port: 4789 },
    rows: [{ address: '10.0.0.9', mac: '02:42:0a:00:00:09', vtep: '192.0.2.9' }],
  }
}

describe('the drawing of an overlay', () => {
  const overlay = { id: '10.0.0.0/24', underlay: 'underlay' }

  it('has every name and address in it', () => {
    const text = drawOverlay(overlay, [drawn(1, ['web', 'db']), drawn(2, ['client'])])
    const words = ['host1', 'host2', 'web', 'db', 'client', 'VNI 4242', '192.0.2.1', '192.0.2.2']
    for (const word of [...words, '10.0.0.9 is at 02:42:0a:00:00:09', 'underlay'])
      expect(text).to.contain(word)
  })

  it('has straight edges, whatever the hosts hold', () => {
    const text = drawOverlay(overlay, [drawn(1, ['web', 'db']), drawn(2, []), drawn(3, ['x'])])
    const lines = text.split('\n')
    const boxes = lines.slice(0, -2)
    expect(new Set(boxes.map((line) => line.length)).size).to.equal(1)
    const cable = lines.at(-1)!
    expect(cable.trim()).to.match(/^└─+ underlay ─+┴?─+┘$|^└.*┴.*┘$/)
    // Each corner of the cable stands below an upright.
    for (const [column, sign] of Array.from(cable).entries())
      if ('└┴┘'.includes(sign)) expect(lines.at(-2)![column]).to.equal('│')
  })
})
