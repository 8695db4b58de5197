/** Three whole plugins are watched: by the page in a browser, by Prometheus, by the command line. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { pageRoutes } from '../../src/admin/page-routes.ts'
import { serveMetrics } from '../../src/admin/metrics-routes.ts'
import type { PageView } from '../../src/admin/page-view.ts'
import type { HostView } from '../../src/wiring/views.ts'
import { buildPage } from '../../plugin/build-page.ts'
import { TestBrowser, hasBrowser } from '../support/browser.ts'
import { cacheDir } from '../support/lab/paths.ts'
import { pageFixture } from '../support/page-fixture.ts'
import { until } from '../support/lab/processes.ts'
import { NetnsLab } from './netns-lab.ts'
import { PluginHosts, gossipMostMs } from './plugin-hosts.ts'

const obstacle = NetnsLab.obstacle()
const subnet = '10.45.0.0/24'
const metricsAddress = '127.0.0.1:9467'
const browserMostMs = 60_000

/** Debian's, which `make setup` unpacks; undefined where it cannot be had. */
const prometheus = [join(cacheDir, 'tools/usr/bin/prometheus'), '/usr/bin/prometheus'].find(
  existsSync,
)

describe('a cluster that is watched', function () {
  this.timeout(240_000)
  let all: PluginHosts

  before(async function () {
    if (obstacle !== null) {
      process.stdout.write(`operating skipped: ${obstacle}\n`)
      this.skip()
    }
    all = await PluginHosts.create(3, subnet, { METRICS_ADDR: metricsAddress })
    for (const { story, name } of all.hosts) {
      await story.createNetwork()
      await story.start(`container of ${name}`)
    }
  })
  after(() => all?.close())

  /** Asks a server on a host's loopback. */
  const ask = async (index: number, url: string): Promise<string> =>
    all.hosts[index]!.plugin.exec(
      process.execPath,
      '-e',
      `fetch('${url}').then(async (a) => process.stdout.write(await a.text()))`,
    )

  it('shows a cut on the page, and its end', async function () {
    if (!hasBrowser) return this.skip()
    const browser = await TestBrowser.start(all.hosts[0]!.netns)
    try {
      const { page, asked, faults } = await browser.open(`http://${metricsAddress}/`)
      const state = page.getByRole('status')
      const shows = (text: string) => async () => ((await state.textContent()) ?? '').includes(text)
      await until(shows('All well'), 'all is well', browserMostMs, 200)
      for (const text of ['host-1', 'host-2', 'host-3'])
        await page.getByRole('button', { name: `host ${text}, alive` }).waitFor()
      await until(
        async () => (await page.locator('.wire.up').count()) === 3,
        'three paths, one of which only the other hosts know',
        browserMostMs,
        200,
      )
      await all.onUnderlay('nft', 'add table bridge fault')
      await all.onUnderlay(
        'nft',
        'add chain bridge fault forward { type filter hook forward priority 0; }',
      )
      const match = 'ip saddr { 192.0.2.1, 192.0.2.2 } ip daddr { 192.0.2.1, 192.0.2.2 }'
      await all.onUnderlay('nft', `add rule bridge fault forward ${match} udp dport 4789 drop`)
      await until(shows('problem'), 'the trouble', browserMostMs, 200)
      const trouble = page.getByText(
        'gossip with host-2 works, VXLAN does not, in neither direction',
      )
      await trouble.first().waitFor()
      await page.locator('.wire.bad').waitFor()
      await trouble.first().click()
      await page.getByRole('heading', { name: 'host-2' }).waitFor()
      await all.onUnderlay('nft', 'delete table bridge fault')
      await until(shows('All well'), 'its end', browserMostMs, 200)
      expect(new Set(asked.map((url) => new URL(url).host))).to.deep.equal(
        new Set([metricsAddress]),
      )
      expect(faults).to.deep.equal([])
    } finally {
      await browser.close()
    }
  })

  it('is asked for every host’s view by the command line of one', async () => {
    const { plugin, name } = all.hosts[1]!
    const program = [process.execPath, join(all.program.folder, 'cli.cjs')]
    const run = (...args: string[]): Promise<string> =>
      plugin.exec(...program, '--socket', plugin.socket, ...args)
    const { views } = JSON.parse(await run('status', '--all', '--json')) as {
      views: Record<string, HostView>
    }
    expect(Object.keys(views)).to.have.members(['host-1', 'host-2', 'host-3'])
    for (const view of Object.values(views)) {
      expect(view.overlays[subnet]!.endpoints).to.equal(3)
      expect(view.findings).to.deep.equal([])
      expect(Object.keys(view.paths)).to.have.length(2)
    }
    const text = await run('status', '--all')
    for (const host of ['host-1', 'host-2', 'host-3']) expect(text, name).to.include(host)
  })

  it('is scraped by Prometheus', async function () {
    if (prometheus === undefined) {
      process.stdout.write('prometheus skipped: apt has no package prometheus here\n')
      return this.skip()
    }
    const folder = await mkdtemp(join(tmpdir(), 'ts-overlay-prometheus-'))
    let server: ChildProcess | null = null
    try {
      const config = join(folder, 'prometheus.yml')
      const scrape = `{ job_name: ts-overlay, static_configs: [{ targets: ['${metricsAddress}'] }] }`
      await writeFile(config, `global: { scrape_interval: 1s }\nscrape_configs: [${scrape}]\n`)
      const args = [`--config.file=${config}`, `--storage.tsdb.path=${folder}/data`]
      const listen = '127.0.0.1:9090'
      server = spawn(
        'nsenter',
        [`--net=${all.hosts[0]!.netns}`, prometheus, ...args, `--web.listen-address=${listen}`],
        { stdio: 'ignore' },
      )
      const valueOf = async (query: string): Promise<string | undefined> => {
        const url = `http://${listen}/api/v1/query?query=${encodeURIComponent(query)}`
        const answer = await ask(0, url).catch(() => '{}')
        const { data } = JSON.parse(answer) as { data?: { result: { value: [number, string] }[] } }
        return data?.result[0]?.value[1]
      }
      const has = (query: string, value: string) => async () => (await valueOf(query)) === value
      await until(has('up', '1'), 'a scrape that succeeds', gossipMostMs, 200)
      await until(has('ts_overlay_members{state="alive"}', '3'), 'members', gossipMostMs, 200)
      await until(has('count(ts_overlay_tunnel_up == 1)', '2'), 'tunnels', gossipMostMs, 200)
      const joins = 'ts_overlay_call_duration_seconds_count{method="NetworkDriver.Join"}'
      expect(await valueOf(joins)).to.equal('1')
    } finally {
      server?.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  })
})

describe('the page of a hundred hosts', function () {
  this.timeout(180_000)
  let server: Server
  let browser: TestBrowser
  let folder: string
  let view: PageView
  let url: string

  before(async function () {
    if (!hasBrowser) {
      process.stdout.write('page skipped: no chromium\n')
      return this.skip()
    }
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-page-'))
    await buildPage(folder)
    const routes = pageRoutes(pathToFileURL(join(folder, 'page.html')), () => view)
    server = await serveMetrics([routes], { host: '127.0.0.1', port: 0 })
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    browser = await TestBrowser.start()
  })
  after(async () => {
    await browser?.close()
    server?.close()
    if (folder !== undefined) await rm(folder, { recursive: true })
  })

  it('draws all, and renders of a list of 2,000 only what is seen', async () => {
    view = pageFixture(100, 2000)
    const { page, faults } = await browser.open(url)
    await page.locator('circle.node').nth(99).waitFor()
    expect(await page.locator('circle.dot').count()).to.equal(2000)
    await page.getByRole('tab', { name: 'Containers 2,000' }).click()
    const items = page.getByRole('listitem')
    await items.first().waitFor()
    expect(await items.count()).to.be.below(60)
    await page.locator('.rows').evaluate((box) => box.scrollTo({ top: 1e6 }))
    await page.getByRole('list').getByText(view.containers.at(-1)!.names[0]!).waitFor()
    expect(await items.count()).to.be.below(60)
    await page.getByRole('searchbox').fill('host-77')
    await until(async () => (await items.count()) === 20, 'its containers', browserMostMs, 50)
    await items.first().getByRole('button').click()
    await page.getByRole('heading', { name: /-77/ }).waitFor()
    await page.getByRole('button', { name: 'host-77', exact: true }).click()
    await page.getByRole('region', { name: 'details of host-77' }).waitFor()
    await page.close()
    const again = await browser.open(`${url}#show=network%3A10.2.0.0%2F16`, { scheme: 'dark' })
    await again.page.getByRole('region', { name: 'details of db' }).waitFor()
    expect([...faults, ...again.faults]).to.deep.equal([])
  })

  it('follows without being loaded again, with trouble first, and says when nobody answers', async () => {
    view = pageFixture(100, 2000)
    const { page } = await browser.open(url)
    await page.getByRole('status').getByText('All well').waitFor()
    const hosts = view.hosts.map((host, place) =>
      place === 41 ? { ...host, state: 'dead' as const } : host,
    )
    view = { ...view, hosts }
    await page.getByText('host-42 does not answer').waitFor()
    await page.getByRole('button', { name: 'host host-42, dead' }).waitFor()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await page.getByRole('alert').getByText('does not answer').waitFor()
    await page.getByText('host-42 does not answer').waitFor()
  })
})
