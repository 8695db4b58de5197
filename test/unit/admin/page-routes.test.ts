import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, type Server, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { Metrics } from '../../../src/admin/metrics.ts'
import { metricsRoutes, serveMetrics } from '../../../src/admin/metrics-routes.ts'
import { pageRoutes } from '../../../src/admin/page-routes.ts'
import { pageFixture } from '../../support/page-fixture.ts'

const script = 'let a = "<p>"'

describe('the page’s routes', () => {
  let folder: string
  let server: Server

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-page-'))
    const file = join(folder, 'page.html')
    await writeFile(file, `<style>p{}</style><script>${script}</script>`)
    const routers = [
      metricsRoutes(new Metrics(() => []), () => null),
      pageRoutes(pathToFileURL(file), () => pageFixture(2, 3)),
    ]
    server = await serveMetrics(routers, { host: '127.0.0.1', port: 0 })
  })
  afterEach(async () => {
    server.close()
    await rm(folder, { recursive: true })
  })

  const get = (path: string, host: string, method = 'GET') =>
    new Promise<{ status: number; headers: IncomingMessage['headers']; body: string }>(
      (resolve, reject) => {
        const { port } = server.address() as AddressInfo
        const call = request({ host: '127.0.0.1', port, path, method, headers: { host } })
        call.on('error', reject).on('response', (answer) => {
          const { statusCode = 0, headers } = answer
          const texts = answer.toArray() as Promise<Buffer[]>
          texts.then(
            (body) => resolve({ status: statusCode, headers, body: body.join('') }),
            reject,
          )
        })
        call.end()
      },
    )

  it('answer under names that others cannot lead here, and no others', async () => {
    for (const host of ['127.0.0.1:9467', '192.0.2.1', '[::1]:9467', 'localhost:9467', 'host1:80'])
      expect((await get('/view', host)).status, host).to.equal(200)
    for (const host of [
      'evil.example:9467',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'a.',
    ])
      for (const path of ['/', '/view', '/metrics', '/healthz'])
        expect((await get(path, host)).status, `${host} ${path}`).to.equal(421)
  })

  it('let a browser run what is in the page and ask here, and no more', async () => {
    const { status, headers } = await get('/', 'localhost')
    expect(status).to.equal(200)
    const digest = createHash('sha256').update(script).digest('base64')
    const policy = headers['content-security-policy']
    expect(policy).to.include("default-src 'none'; ")
    expect(policy).to.include(`script-src 'sha256-${digest}'; `)
    expect(policy).to.include("connect-src 'self'; ")
    expect(policy).to.include("frame-ancestors 'none'")
    expect(headers).to.include({ 'x-content-type-options': 'nosniff' })
    expect(headers).to.not.include.keys('access-control-allow-origin', 'x-powered-by')
  })

  it('have what is shown as JSON, and change nothing', async () => {
    const { body, headers } = await get('/view', 'localhost')
    expect(headers['content-type']).to.match(/^application\/json/)
    expect(JSON.parse(body)).to.deep.equal(pageFixture(2, 3))
    for (const method of ['POST', 'PUT', 'DELETE'])
      for (const path of ['/', '/view', '/members/host-2'])
        expect((await get(path, 'localhost', method)).status, `${method} ${path}`).to.equal(404)
  })

  it('have no page where it is not built', async () => {
    await rm(join(folder, 'page.html'))
    expect((await get('/', 'localhost')).status).to.equal(404)
  })
})
