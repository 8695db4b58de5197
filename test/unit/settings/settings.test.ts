import { readFileSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { OverlayError } from '../../../src/base/errors.ts'
import { envSection, settingsMarkdown, withEnv, withSettings } from '../../../src/settings/docs.ts'
import { settingsTable } from '../../../src/settings/table.ts'
import { type Settings, parseSettings } from '../../../src/settings/settings.ts'

const root = resolve(import.meta.dirname, '../../..')

function faultOf(env: Record<string, string>): string {
  try {
    parseSettings(env)
  } catch (error) {
    expect(error).to.be.instanceOf(OverlayError)
    expect((error as OverlayError).code).to.equal('BAD_SETTING')
    expect((error as OverlayError).kind).to.equal('refusal')
    return (error as OverlayError).message
  }
  throw new Error(`accepted: ${JSON.stringify(env)}`)
}

describe('settings', () => {
  it('are complete without a single variable', () => {
    const expected: Settings = {
      join: [],
      advertiseAddress: null,
      dataAddress: null,
      bindAddress: '0.0.0.0' as Settings['bindAddress'],
      gossipPort: 7946,
      vxlanPort: 4789,
      wireguardPort: 51_820,
      scope: 'local',
      pools: [{ cidr: '10.128.0.0/9', length: 24 }] as unknown as Settings['pools'],
      token: null,
      tokenFile: null,
      gossipKeyRotationMs: 43_200_000,
      debug: null,
      memberName: null,
      metricsAddress: null,
      filter: true,
      names: true,
      fastPath: true,
      auditMs: 30_000,
      voters: 5,
      engineApi: true,
      orphanGraceMs: 120_000,
      forgetAfterMs: 72 * 3600 * 1000,
      underlayMtu: null,
      stateDir: '/data',
      legacySocketDir: '/host-plugins',
      sandboxDir: '/host-docker/netns',
      engineSocket: '/host-docker/docker.sock',
      managedSocket: '/run/docker/plugins/ts-overlay.sock',
    }
    expect(parseSettings({})).to.deep.equal(expected)
  })

  it('take an empty variable for an absent one, as the engine passes those it has no value for', () => {
    const empty = Object.fromEntries(Object.values(settingsTable).map(({ name }) => [name, ' ']))
    expect(parseSettings(empty)).to.deep.equal(parseSettings({}))
  })

  it('accept every example that they give', () => {
    for (const { name, example, parse } of Object.values(settingsTable))
      expect(parse(example), name).to.have.property('value')
  })

  it('read members to join in every form, with our own port where none is named', () => {
    const env = { JOIN: 'a.example,192.0.2.1:1 [fd00::1]:2, fd00::2  [fd00::3]', GOSSIP_PORT: '99' }
    expect(parseSettings(env).join).to.deep.equal([
      { host: 'a.example', port: 99 },
      { host: '192.0.2.1', port: 1 },
      { host: 'fd00::1', port: 2 },
      { host: 'fd00::2', port: 99 },
      { host: 'fd00::3', port: 99 },
    ])
  })

  for (const text of [
    'a:b',
    'a:0',
    'a:65536',
    ':1',
    '300.1.1.1',
    '[192.0.2.1]:1',
    'a_b',
    '-a',
    '[x]',
  ])
    it(`refuse JOIN=${text}`, () => {
      expect(faultOf({ JOIN: `good.example,${text}` })).to.match(/^JOIN=.* has ".*", which /)
    })

  it('bind to all addresses of the family that is advertised', () => {
    expect(parseSettings({ ADVERTISE_ADDR: 'fd00::1' }).bindAddress).to.equal('::')
    expect(faultOf({ ADVERTISE_ADDR: 'fd00::1', BIND_ADDR: '0.0.0.0' })).to.match(/famil/)
    const both = { ADVERTISE_ADDR: '192.0.2.7', BIND_ADDR: '::' }
    expect(parseSettings(both).bindAddress).to.equal('::')
  })

  it('advertise the address that gossip listens at, when it is one', () => {
    const advertised = (env: Readonly<Record<string, string>>) =>
      parseSettings(env).advertiseAddress
    expect(advertised({ BIND_ADDR: '192.0.2.7' })).to.equal('192.0.2.7')
    expect(advertised({ BIND_ADDR: '192.0.2.7', ADVERTISE_ADDR: '192.0.2.8' })).to.equal(
      '192.0.2.8',
    )
    for (const everywhere of ['0.0.0.0', '::'])
      expect(advertised({ BIND_ADDR: everywhere })).to.equal(null)
  })

  it('have frames and gossip on networks of their own, and a port in front', () => {
    const env = { DATA_ADDR: '198.51.100.7', ADVERTISE_ADDR: 'fd00::1' }
    expect(parseSettings(env)).to.include({
      dataAddress: '198.51.100.7',
      advertiseAddress: 'fd00::1',
      gossipPort: 7946,
    })
    expect(faultOf({ DATA_ADDR: '127.0.0.1' })).to.match(/^DATA_ADDR=.*no other host.*loopback/)
  })

  it('refuse addresses and ranges where nothing can be, and say why', () => {
    for (const text of ['0.0.0.0', '224.0.0.5', '255.255.255.255', '127.0.0.1', '::1', 'fe80::1'])
      expect(faultOf({ ADVERTISE_ADDR: text })).to.match(
        /^ADVERTISE_ADDR=.* no other host .*\/\d+ /,
      )
    expect(faultOf({ BIND_ADDR: '224.0.0.5' })).to.match(/^BIND_ADDR=.*multicast/)
    expect(parseSettings({ BIND_ADDR: '127.0.0.1' }).advertiseAddress).to.equal('127.0.0.1')
    for (const text of ['127.0.0.0/8:24', '0.0.0.0/0:24', '224.0.0.0/4:24', 'ff00::/8:64'])
      expect(faultOf({ POOLS: `10.0.0.0/8:24 ${text}` })).to.match(/no range for containers/)
  })

  it('refuse an MTU that the family of the address cannot work with', () => {
    expect(faultOf({ MTU: '1279', ADVERTISE_ADDR: 'fd00::1' })).to.match(
      /^MTU=1279 .*IPv6 needs 1280/,
    )
    expect(parseSettings({ MTU: '1280', ADVERTISE_ADDR: 'fd00::1' }).underlayMtu).to.equal(1280)
    expect(parseSettings({ MTU: '1279', ADVERTISE_ADDR: '192.0.2.1' }).underlayMtu).to.equal(1279)
  })

  it('read several pools, and refuse overlapping, odd or impossible ones', () => {
    expect(parseSettings({ POOLS: '10.0.0.0/8:24 fd00::/48:64' }).pools).to.deep.equal([
      { cidr: '10.0.0.0/8', length: 24 },
      { cidr: 'fd00::/48', length: 64 },
    ])
    expect(faultOf({ POOLS: '10.0.0.0/8:24,10.1.0.0/16:24' })).to.match(/overlap/)
    for (const text of [
      '10.0.0.0/8',
      '10.0.0.1/8:24',
      '10.0.0.0/8:31',
      '10.0.0.0/8:7',
      'x:24',
      ',',
    ])
      expect(faultOf({ POOLS: text })).to.match(/^POOLS=.*Example: POOLS=/)
  })

  it('read durations and seconds into milliseconds', () => {
    expect(parseSettings({ FORGET_AFTER: '7d' }).forgetAfterMs).to.equal(7 * 86_400_000)
    expect(parseSettings({ FORGET_AFTER: '90m' }).forgetAfterMs).to.equal(90 * 60_000)
    expect(parseSettings({ AUDIT_SECONDS: '5' }).auditMs).to.equal(5000)
    expect(faultOf({ FORGET_AFTER: '72' })).to.match(/units s, m, h, d/)
    expect(faultOf({ FORGET_AFTER: '9s' })).to.match(/shorter than 10 s/)
    // A timer of the machine's takes no more than 24 days.
    expect(faultOf({ ORPHAN_AFTER: '8d' })).to.match(/longer than 7 days/)
    expect(faultOf({ FORGET_AFTER: '99999d' })).to.match(/longer than 3650 days/)
  })

  it('keep the two UDP ports apart', () => {
    expect(faultOf({ GOSSIP_PORT: '4789' })).to.match(/both 4789/)
  })

  it('tell every wrong one in one message, with its value, what is wrong and an example', () => {
    const fault = faultOf({ SCOPE: 'swarm', GOSSIP_PORT: '7946x', VXLAN_PORT: '80', MTU: '1' })
    expect(fault.split('\n')).to.have.length(5)
    expect(fault).to.include('SCOPE=swarm is neither local nor global. Example: SCOPE=global')
    expect(fault).to.include('GOSSIP_PORT=7946x is not a whole number from 1 to 65535')
    expect(fault).to.include('VXLAN_PORT=80 is not a whole number from 1024 to 65535')
    expect(fault).to.include('docker plugin set')
  })

  it('either parse or are refused by name, whatever the text', () => {
    const names = Object.values(settingsTable).map(({ name }) => name)
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.string({ unit: 'grapheme' }), (name, text) => {
        try {
          parseSettings({ [name]: text })
        } catch (error) {
          expect((error as OverlayError).code).to.equal('BAD_SETTING')
          expect((error as OverlayError).message).to.include(name)
        }
      }),
    )
  })
})

describe('what is generated from the settings', () => {
  it('lists each settable one once, and none of the others', () => {
    const names = envSection().map(({ name }) => name)
    expect(new Set(names).size).to.equal(names.length)
    expect(names).to.include.members(['JOIN', 'TOKEN', 'MTU'])
    expect(names).to.not.include('STATE_DIR')
  })

  it('replaces what stands between the markers of a text, and nothing else', () => {
    const readme = 'a\n<!-- settings -->\nSTALE\n<!-- /settings -->\nb\n'
    const renewed = withSettings(readme)!
    expect(renewed)
      .to.match(/^a\n<!-- settings -->\n\n\| Setting/)
      .and.match(/-->\nb\n$/)
    expect(renewed).to.not.include('STALE')
    expect(withSettings(renewed)).to.equal(renewed)
    expect(withSettings('no markers')).to.equal(null)
  })

  it('keeps the rest of a manifest', () => {
    const config = withEnv('{"description": "x", "env": []}')
    expect(JSON.parse(config)).to.deep.equal({ description: 'x', env: envSection() })
  })

  it('stands in config.json', () => {
    const config = JSON.parse(readFileSync(resolve(root, 'config.json'), 'utf8')) as {
      env: unknown
    }
    expect(config.env, 'run: node --conditions=source src/settings/docs.ts').to.deep.equal(
      envSection(),
    )
  })

  it('stands in README', () => {
    const readme = readFileSync(resolve(root, 'README.md'), 'utf8')
    expect(readme, 'run: node --conditions=source src/settings/docs.ts').to.include(
      settingsMarkdown(),
    )
  })

  it('has every name that a text for users gives to `docker plugin set` or `install`', () => {
    const names = envSection().map(({ name }) => name)
    const texts = ['README.md', 'plugin/README.md', ...docs('docs')]
    for (const file of texts) {
      const text = readFileSync(resolve(root, file), 'utf8')
      for (const [line] of text.matchAll(/docker plugin (?:set|install) .*/g))
        for (const [, name] of line.matchAll(/\b([A-Z][A-Z_]+)=/g))
          if (name !== 'NAME') expect(names, `${file}: ${line}`).to.include(name)
    }
  })

  it('is all that the source reads of its environment', () => {
    const read = docs('src', '.ts').flatMap((file) => [
      ...readFileSync(resolve(root, file), 'utf8').matchAll(/process\.env\b(?!\))/g),
    ])
    expect(read).to.have.length(0)
  })
})

/** The files below a folder of the project whose names end so. */
function docs(folder: string, end = '.md'): string[] {
  return readdirSync(resolve(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}/${name}`)
}
