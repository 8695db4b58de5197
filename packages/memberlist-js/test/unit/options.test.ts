import { expect } from 'chai'
import { Memberlist, presets, type MemberlistOptions } from 'memberlist-js'
import { Cluster, endpointOf } from '../support/cluster.ts'
import { SEED } from '../support/seed.ts'

describe('the options of a member list', () => {
  const make = (options: Partial<MemberlistOptions>) => {
    const { network } = new Cluster(SEED)
    return new Memberlist({ name: 'm', transport: network.transport(endpointOf(0)), ...options })
  }

  it('start from a preset, with changes', () => {
    expect(make({}).config).to.deep.equal(presets.lan)
    expect(make({ config: 'wan' }).config).to.deep.equal(presets.wan)
    const changed = make({ config: { preset: 'local', gossipNodes: 5 } }).config
    expect(changed).to.deep.equal({ ...presets.local, gossipNodes: 5 })
    expect(make({ config: { pushPullIntervalMs: 0 } }).config.pushPullIntervalMs).to.equal(0)
  })

  const senseless: readonly (readonly [what: string, options: Partial<MemberlistOptions>])[] = [
    ['no name', { name: '' }],
    ['a name of 256 bytes', { name: 'ä'.repeat(128) }],
    ['a label of 256 bytes', { label: 'x'.repeat(256) }],
    ['no time between probes', { config: { probeIntervalMs: 0 } }],
    ['a time that is no number', { config: { gossipIntervalMs: NaN } }],
    ['endless time', { config: { tcpTimeoutMs: Infinity } }],
    ['less than none', { config: { indirectChecks: -1 } }],
  ]
  for (const [what, options] of senseless) {
    it(`refuse ${what}`, () => {
      expect(() => make(options))
        .to.throw()
        .with.property('code', 'invalid-option')
    })
  }

  it('a list is closed at the end of its block', async () => {
    const cluster = new Cluster(SEED)
    const transport = cluster.network.transport(endpointOf(0))
    {
      await using list = new Memberlist({ name: 'm', transport })
      list.start()
    }
    expect(() => cluster.network.transport(endpointOf(0))).not.to.throw()
  })
})
