import { expect } from 'chai'
import { Keyring, Memberlist, presets, systemClock, type MemberlistOptions } from 'memberlist-js'
import { encodeMessage } from '../../src/wire/messages.ts'
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

  it('may have what is no timer last for months', () => {
    const config = { reconnectTimeoutMs: 1e10, gossipToTheDeadMs: 1e10, deadMemberReclaimMs: 1e10 }
    expect(make({ config }).config).to.deep.equal({ ...presets.lan, ...config })
  })

  it('take undefined for what is left out', () => {
    expect(
      make({ config: { probeIntervalMs: undefined, preset: undefined } }).config,
    ).to.deep.equal(presets.lan)
  })

  /** What JavaScript can hand over although the types forbid it, and what the message must name. */
  const senseless: readonly (readonly [what: string, options: object, named: RegExp])[] = [
    ['no name', { name: '' }, /name .* 1 to 255 bytes, not of 0/],
    ['a name that is none', { name: undefined }, /name .* not undefined/],
    ['a name of 256 bytes', { name: 'ä'.repeat(128) }, /not of 256/],
    ['a label of 256 bytes', { label: 'x'.repeat(256) }, /label .* not of 256/],
    ['a label that is none', { label: 5 }, /label .* not 5/],
    ['a key instead of a keyring', { keyring: new Uint8Array(16) }, /new Keyring\(/],
    ['no time between probes', { config: { probeIntervalMs: 0 } }, /probeIntervalMs cannot be 0/],
    ['a time that is no number', { config: { gossipIntervalMs: NaN } }, /gossipIntervalMs .* NaN/],
    ['endless time', { config: { tcpTimeoutMs: Infinity } }, /tcpTimeoutMs .* Infinity/],
    ['less than none', { config: { indirectChecks: -1 } }, /indirectChecks cannot be -1/],
    ['a preset of another name', { config: 'LAN' }, /preset "LAN": choose lan, wan, local/],
    ['the same beside options', { config: { preset: 'toString' } }, /preset "toString": choose/],
    ['a configuration that is none', { config: null }, /config cannot be null/],
    ['a misspelt option', { config: { probeIntervalMS: 5 } }, /did you mean probeIntervalMs\?/],
    ['an invented option', { config: { speed: 5 } }, /config.speed .* there are tcpTimeoutMs/],
    ['a number in quotes', { config: { probeIntervalMs: '500' } }, /"500": give it a number/],
    [
      'half a member',
      { config: { gossipNodes: 2.5 } },
      /gossipNodes cannot be 2.5: give it a whole/,
    ],
    ['less than our own health', { config: { awarenessMaxMultiplier: 0.5 } }, /awareness/],
    [
      'a method of compression',
      { config: { compression: 'gzip' } },
      /"none" or "streams" or "all"/,
    ],
    [
      'an encryption of its own',
      { config: { encryptionVersion: 7 } },
      /cannot be 7: give it 0 or 1/,
    ],
    [
      'neither yes nor no',
      { config: { tcpPings: 0 } },
      /tcpPings cannot be 0: give it true or false/,
    ],
    ['packets too small for news', { config: { packetBytes: 1199 } }, /1,200 to 65,507/],
    ['packets too large for UDP', { config: { packetBytes: 65_508 } }, /1,200 to 65,507/],
    [
      'a time too long for Node',
      { config: { pushPullIntervalMs: 2 ** 31 } },
      /up to 2,147,483,647/,
    ],
    ['more members than a state has', { config: { maxMembers: 65_537 } }, /1 to 65,536/],
    [
      'a time-out that leaves none for others',
      { config: { probeIntervalMs: 500 } },
      /raise the other/,
    ],
    ['versions out of order', { delegateVersions: [5, 2, 4] }, /delegateVersions cannot be 5,2,4/],
    ['a version out of range', { delegateVersions: [2, 300, 4] }, /0 to 255/],
    ['two versions', { delegateVersions: [2, 5] }, /three whole numbers/],
    ['no versions', { delegateVersions: 4 }, /delegateVersions cannot be 4/],
  ]
  for (const [what, options, named] of senseless) {
    it(`refuse ${what}`, () => {
      expect(() => make(options))
        .to.throw(named)
        .with.property('code', 'invalid-option')
    })
  }

  it('leave room for the longest news in the smallest packets', () => {
    const keyring = new Keyring([new Uint8Array(16)])
    const config = { packetBytes: 1200, encryptionVersion: 0 } as const
    const list = make({ config, keyring, label: 'x'.repeat(255) })
    const body = {
      incarnation: 2 ** 32 - 1,
      node: 'n'.repeat(255),
      addr: new Uint8Array(16),
      port: 65_535,
      meta: new Uint8Array(512),
      vsn: new Uint8Array(6),
    }
    // Room for a user message, and its type byte.
    expect(list.maxBroadcastPayload + 1).to.be.at.least(
      encodeMessage({ type: 'alive', body }).length,
    )
  })

  it('a clock that is set for years does not go off at once', async () => {
    let fired = false
    const timer = systemClock.setTimeout(() => (fired = true), 1e12)
    await new Promise((resolve) => setTimeout(resolve, 20))
    systemClock.clearTimeout(timer)
    expect(fired).to.equal(false)
  })

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
