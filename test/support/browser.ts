/** Debian's Chromium, driven by Playwright. */
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Browser, type Page, chromium } from 'playwright-core'

const program = '/usr/bin/chromium'

/** Whether this machine has it; `make setup` installs it. */
export const hasBrowser = existsSync(program)

/** A browser that runs in a network namespace; without one, where the tests run. */
export class TestBrowser {
  readonly #browser: Browser
  readonly #folder: string

  private constructor(browser: Browser, folder: string) {
    this.#browser = browser
    this.#folder = folder
  }

  static async start(netns?: string): Promise<TestBrowser> {
    const folder = await mkdtemp(path.join(tmpdir(), 'ts-overlay-browser-'))
    const script = path.join(folder, 'browser')
    const enter = netns === undefined ? '' : `nsenter --net=${netns} `
    await writeFile(script, `#!/bin/sh\nexec ${enter}${program} "$@"\n`)
    await chmod(script, 0o755)
    const browser = await chromium.launch({
      executablePath: script,
      // The tests are root's.
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
      timeout: 120_000,
    })
    return new TestBrowser(browser, folder)
  }

  /** A page, and the addresses that it has asked for; what it throws or logs as errors is `faults`. */
  async open(
    url: string,
    look: {
      readonly scheme?: 'light' | 'dark'
      readonly width?: number
      readonly height?: number
    } = {},
  ): Promise<{ readonly page: Page; readonly asked: string[]; readonly faults: string[] }> {
    const { scheme = 'light', width = 1400, height = 900 } = look
    const page = await this.#browser.newPage({ colorScheme: scheme, viewport: { width, height } })
    page.setDefaultTimeout(60_000)
    const [asked, faults]: string[][] = [[], []]
    page.on('request', (request) => asked!.push(request.url()))
    page.on('pageerror', (error) => faults!.push(String(error)))
    page.on('console', (line) => line.type() === 'error' && faults!.push(line.text()))
    await page.goto(url)
    return { page, asked: asked!, faults: faults! }
  }

  async close(): Promise<void> {
    await this.#browser.close()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
