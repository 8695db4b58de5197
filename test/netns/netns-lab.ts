import { closeSync, mkdirSync, mkdtempSync, promises, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa, execaSync } from 'execa'
import { inNewNetns, openOwnNetns } from '../../src/dataplane/linux/netns/netns.ts'
import { pinFd, unpin } from '../../src/dataplane/linux/netns/pin.ts'
import { removeLeftovers } from '../support/scratch.ts'
import { scaled } from '../support/time.ts'

/**
 * What an overlay is made of. Tried with other tools than ours, or a bug of ours would look like a
 * lack.
 */
const devices = ['name v type veth', 'name b type bridge', 'name x type vxlan id 1 dstport 4789']

/** How often a bridge is looked at until its ports forward: ten seconds or more. */
const forwardingAttempts = scaled(500)

/** What `ip -json` and `bridge -json` print, as far as tests look at it. */
export interface Json {
  readonly ifname: string
  readonly ifalias?: string
  readonly mac: string
  readonly dst?: string
  readonly lladdr: string
  readonly address?: string
  readonly mtu?: number
  readonly group?: string
  readonly state?: string
  readonly flags?: readonly string[]
  readonly operstate?: string
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[]
  readonly stats64: Readonly<Record<'rx' | 'tx', { readonly packets: number }>>
}

/**
 * Network namespaces for tests, under a folder that no other run has. Nothing is made in the
 * machine's own namespace. What is there is looked at with `ip` and `bridge`, not with the code
 * under test.
 */
export class NetnsLab {
  readonly directory: string
  readonly #pins = new Set<string>()
  readonly #folders = new Set<string>()

  private constructor(directory: string) {
    this.directory = directory
    process.once('exit', this.#unpinAll)
  }

  /** Why there can be no lab on this machine; null when there can. */
  static obstacle(): string | null {
    if (process.getuid?.() !== 0) return 'not root'
    const make = devices.map((device) => `ip link add ${device}`).join(' && ')
    const tried = execaSync('unshare', ['--net', 'sh', '-c', make], { reject: false })
    return tried.failed ? `the kernel or its tools lack something: ${tried.stderr}` : null
  }

  static async create(): Promise<NetnsLab> {
    // libuv's threads must not be born during a visit to a namespace.
    await promises.stat('/')
    removeLeftovers('/run')
    return new NetnsLab(mkdtempSync(`/run/ts-overlay-test-${process.pid}-`))
  }

  /** A new namespace with loopback up. @returns its file. */
  async namespace(name: string): Promise<string> {
    const path = join(this.directory, name)
    NetnsLab.pinNew(path)
    this.#pins.add(path)
    await this.run(path, 'ip', 'link', 'set', 'lo', 'up')
    return path
  }

  /** Makes a namespace and pins it at `path`. */
  static pinNew(path: string): void {
    const fd = inNewNetns(openOwnNetns)
    try {
      pinFd(fd, path)
    } finally {
      closeSync(fd)
    }
  }

  /** Removes a namespace; what lies in it goes with it. */
  remove(path: string): void {
    unpin(path)
    this.#pins.delete(path)
  }

  /** A folder for a data plane's pins, which are removed at the end. */
  folder(name: string): string {
    const path = join(this.directory, name)
    mkdirSync(path)
    this.#folders.add(path)
    return path
  }

  /** Has pins in a folder that others make removed at the end. */
  pinsIn(path: string): void {
    this.#folders.add(path)
  }

  /** Runs a command in a namespace; fails when it does. @returns its output. */
  async run(path: string, ...command: string[]): Promise<string> {
    const { stdout } = await execa('nsenter', [`--net=${path}`, ...command])
    return stdout
  }

  /** What `ip -json …` or `bridge -json …` prints in a namespace. */
  async json(path: string, tool: 'ip' | 'bridge', ...args: string[]): Promise<Json[]> {
    const output = await this.run(path, tool, '-json', '-details', ...args)
    return output === '' ? [] : (JSON.parse(output) as Json[])
  }

  /**
   * Waits until all bridge ports in a namespace forward. The kernel sees to that after a link came
   * up, by a worker that waits for its lock on links, which may take a second on a busy machine.
   */
  async forwarding(path: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const ports = await this.json(path, 'bridge', 'link', 'show')
      const waiting = ports.filter(
        ({ state, flags }) => flags?.includes('UP') && state !== 'forwarding',
      )
      if (waiting.length === 0) return
      if (attempt === forwardingAttempts)
        throw new Error(`not forwarding: ${JSON.stringify(waiting)}`)
      await sleep(20)
    }
  }

  /**
   * Whether one packet is answered within a second. `size` is the inner IPv4 packet's, not to be
   * cut.
   */
  async ping(path: string, address: string, size?: number): Promise<boolean> {
    const sized = size === undefined ? [] : ['-M', 'do', '-s', String(size - 28)]
    const args = [`--net=${path}`, 'ping', '-n', '-c', '1', '-W', '1', ...sized, address]
    const { exitCode } = await execa('nsenter', args, { reject: false })
    return exitCode === 0
  }

  /** Removes everything. To be called in every case. */
  close(): void {
    process.off('exit', this.#unpinAll)
    this.#unpinAll()
  }

  readonly #unpinAll = (): void => {
    for (const folder of this.#folders)
      for (const file of readdirSync(folder)) unpin(join(folder, file))
    for (const path of this.#pins) unpin(path)
    this.#pins.clear()
    this.#folders.clear()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
