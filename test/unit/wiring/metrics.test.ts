import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { Metrics } from '../../../src/admin/metrics.ts'
import { CallStatistics } from '../../../src/engine-api/call-statistics.ts'
import { metricsOf } from '../../../src/wiring/metrics.ts'
import { cacheDir } from '../../support/lab/paths.ts'
import { startLonePlugin } from '../../support/lone-plugin.ts'

const docs = resolve(import.meta.dirname, '../../../docs')

/** Debian's `promtool`, which `make setup` unpacks; undefined where it cannot be had. */
const promtool = [join(cacheDir, 'tools/usr/bin/promtool'), '/usr/bin/promtool'].find((file) =>
  existsSync(file),
)

/** Looked at when another metric asks for it. */
const explaining = [
  'audits_total',
  'calls_total',
  'cluster_messages_total',
  'fast_path_bytes_total',
  'leader',
  'overlay_fdb_entries',
  'overlay_mtu_bytes',
  'overlay_peers',
  'pool_addresses_free',
  'raft_applied_index',
]

/** The metrics of a plugin after two calls of the engine. */
async function rendered(): Promise<string> {
  const { plugin } = await startLonePlugin()
  const calls: CallStatistics = new CallStatistics((method, ms) => metrics.observeCall(method, ms))
  const metrics = new Metrics(() => metricsOf(plugin.status(), calls.summary()))
  calls.record('NetworkDriver.Join', 20, 0, null)
  const { text } = await metrics.render()
  expect(text).to.include('ts_overlay_call_duration_seconds_count{method="NetworkDriver.Join"} 1')
  calls.record('NetworkDriver.Join', 30, 0, 'refused')
  const again = await metrics.render()
  await plugin.stop()
  return again.text
}

/** The names of our own metrics, from their TYPE lines. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^# TYPE (ts_overlay_\w+) /gm)].map(([, name]) => name!)
}

describe('metrics', () => {
  it('count calls and show what the status has', async () => {
    const text = await rendered()
    expect(text).to.include('ts_overlay_call_duration_seconds_count{method="NetworkDriver.Join"} 2')
    expect(text).to.include('ts_overlay_calls_total{method="NetworkDriver.Join"} 2')
    expect(text).to.include('ts_overlay_call_errors_total{method="NetworkDriver.Join"} 1')
    expect(text).to.include('ts_overlay_members{state="alive"} 1')
    expect(text).to.include('nodejs_eventloop_lag_seconds')
  })

  it('are of a hundred members at most, those in trouble first', async () => {
    const { plugin } = await startLonePlugin()
    const status = plugin.status()
    const members = Array.from({ length: 1000 }, (_, index) => ({
      ...status.members[0]!,
      name: `host-${index}`,
      self: false,
      rttMs: 1,
      tunnel: {
        state: index === 777 ? ('blocked' as const) : ('up' as const),
        rttMs: 1,
        bytes: 1450,
      },
    }))
    const families = metricsOf({ ...status, members }, {})
    const named = (name: string) => families.find((family) => family.name === name)!.samples
    for (const { samples, name } of families) expect(samples.length, name).to.be.at.most(100)
    expect(named('tunnel_up').filter(({ value }) => value === 0)).to.deep.equal([
      { labels: { member: 'host-777' }, value: 0 },
    ])
    expect(named('tunnels')).to.have.deep.members([
      { labels: { state: 'up' }, value: 999 },
      { labels: { state: 'blocked' }, value: 1 },
    ])
    await plugin.stop()
  })

  it('are all told in docs/metrics.md, and no others are', async () => {
    const doc = readFileSync(join(docs, 'metrics.md'), 'utf8')
    const told = [...doc.matchAll(/^\| `(ts_overlay_\w+)`/gm)].map(([, name]) => name!)
    expect(told).to.deep.equal(namesIn(await rendered()).toSorted())
  })

  it('are used in the alerts and the dashboard by names that there are', async () => {
    const names = new Set(namesIn(await rendered()))
    for (const file of ['alerts.yml', 'grafana-dashboard.json'])
      for (const [name] of readFileSync(join(docs, file), 'utf8').matchAll(/\bts_overlay_\w+/g))
        expect(names, `${file}: ${name}`).to.include(name.replace(/_(bucket|sum|count)$/, ''))
  })

  it('are each in the dashboard or an alert, but for those that explain others', async () => {
    const files = ['alerts.yml', 'grafana-dashboard.json']
    const text = files.map((file) => readFileSync(join(docs, file), 'utf8')).join('\n')
    const unseen = namesIn(await rendered()).filter((name) => !text.includes(name))
    expect(unseen.map((name) => name.replace('ts_overlay_', '')).toSorted()).to.deep.equal(
      explaining,
    )
  })

  it('have alerts, each of which is seen to fire in docs/alerts.test.yml', () => {
    const [rules, tests] = ['alerts.yml', 'alerts.test.yml'].map((file) =>
      readFileSync(join(docs, file), 'utf8'),
    )
    const alerts = [...rules!.matchAll(/- alert: (\w+)/g)].map(([, name]) => name!)
    const fired = [...tests!.matchAll(/alertname: (\w+)\n +exp_alerts:\n/g)].map(
      ([, name]) => name!,
    )
    expect([...new Set(fired)].toSorted()).to.deep.equal(alerts.toSorted())
  })

  it('pass promtool, and so do the alerts', async function () {
    if (promtool === undefined) {
      process.stdout.write('promtool skipped: apt has no package prometheus here\n')
      return this.skip()
    }
    this.timeout(30_000)
    const own = (await rendered()).replaceAll(/^.*\b(nodejs|process)_.*\n/gm, '')
    const checked = await execa(promtool, ['check', 'metrics'], { input: own, reject: false })
    expect(checked.stdout + checked.stderr).to.equal('')
    const tested = await execa(promtool, ['test', 'rules', 'alerts.test.yml'], {
      cwd: docs,
      reject: false,
    })
    expect(tested.exitCode, tested.stdout + tested.stderr).to.equal(0)
  })
})
