/**
 * The lab: several real Docker hosts on one machine, for end-to-end tests, the demo and benchmarks.
 *
 *     await using lab = await Lab.create({ hosts: 2 })
 *     await lab.host(1).docker(['run', '--rm', labImage, 'echo', 'hello'])
 *
 * Invariant: after `destroy` (which also runs when this process ends in any way) no process, mount,
 * namespace or file of the lab is left. Needs root; touches nothing of the machine's own Docker,
 * network or firewall.
 */
import { copyFile, mkdtemp, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { EngineVersion } from './engines.ts'
import { Host } from './host.ts'
import { ensureImageArchive } from './image.ts'
import { labDirPrefix, labParentDir } from './paths.ts'
import { markProcess } from './processes.ts'
import { removeLab, sweepLabs, writeEntry, type LabEntry } from './register.ts'
import { startRegistry } from './registry.ts'
import { ensureRoot } from './roots.ts'
import { Underlay } from './underlay.ts'

export interface LabOptions {
  readonly hosts: number
  /** One for all hosts or one for each; default 28.5. */
  readonly engine?: EngineVersion | readonly EngineVersion[]
  /** Run a plugin registry at `registryAddress`. */
  readonly registry?: boolean
  /** Load `lab:latest` into each engine; default true. */
  readonly image?: boolean
  /** Underlay MTU in bytes, default 1500. */
  readonly mtu?: number
  /** More flags for every dockerd. */
  readonly engineFlags?: readonly string[]
  /** The lab outlives this process; `make clean` removes it. */
  readonly keep?: boolean
  /** Told of steps that take long. */
  readonly report?: (line: string) => void
}

/**
 * Room in `sun_path` (108 bytes) for what engines put below the lab's folder is not needed, but for
 * readable paths it is.
 */
const labDirLengthMax = 80

export class Lab {
  readonly dir: string
  readonly hosts: readonly Host[]
  readonly underlay: Underlay
  readonly #entry: LabEntry
  #destroyed: Promise<void> | undefined

  private constructor(entry: LabEntry, hosts: readonly Host[], underlay: Underlay) {
    this.dir = entry.dir
    this.hosts = hosts
    this.underlay = underlay
    this.#entry = entry
  }

  /**
   * Builds what is missing of the root file systems and the image, then boots all machines side by
   * side.
   */
  static async create(options: LabOptions): Promise<Lab> {
    if (process.getuid?.() !== 0)
      throw new Error('the lab makes namespaces and mounts: run as root')
    await sweepLabs({ kept: false })
    const report = options.report ?? (() => {})
    const versions = engineOfEachHost(options)
    const roots = await ensureRoots(versions, report)
    const dir = await mkdtemp(path.join(labParentDir, labDirPrefix))
    if (dir.length > labDirLengthMax) throw new Error(`TS_OVERLAY_LAB_DIR is too long: ${dir}`)
    const keep = options.keep ?? false
    const anyRoot = roots.get(versions[0]!)!
    const underlay = new Underlay({ root: anyRoot, labDir: dir, keep, mtu: options.mtu ?? 1500 })
    const hosts = versions.map((engine, position) => {
      const root = roots.get(engine)!
      const ours = [
        '--insecure-registry',
        '192.168.200.0/24',
        '--cgroup-parent',
        path.basename(dir),
      ]
      const engineFlags = [...ours, ...(options.engineFlags ?? [])]
      const index = position + 1
      return new Host(underlay, { index, engine, root, labDir: dir, keep, engineFlags })
    })
    const lab = new Lab({ dir, owner: await markProcess(process.pid), keep }, hosts, underlay)
    await lab.#boot(options, anyRoot)
    return lab
  }

  /** By number, from 1, as in its address. */
  host(index: number): Host {
    const host = this.hosts[index - 1]
    if (host === undefined) throw new Error(`the lab has ${this.hosts.length} hosts, not ${index}`)
    return host
  }

  /** Removes everything. Idempotent. */
  async destroy(): Promise<void> {
    this.#destroyed ??= removeLab(this.#entry)
    await this.#destroyed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy()
  }

  async #boot(options: LabOptions, root: string): Promise<void> {
    try {
      await writeEntry(this.#entry)
      this.#destroyOnSignals()
      const image = options.image ?? true
      if (image) await copyFile(await ensureImageArchive(root), path.join(this.dir, 'image.tar'))
      await this.underlay.start()
      await Promise.all([
        ...(options.registry ? [startRegistry(this.underlay.machine)] : []),
        ...this.hosts.map((host) => this.#bootHost(host, image)),
      ])
    } catch (error) {
      await this.destroy()
      throw error
    }
  }

  async #bootHost(host: Host, image: boolean): Promise<void> {
    await host.boot()
    if (image) await host.importImage('image.tar')
    // For people: /tmp/ts-overlay-lab-XXXX/host1/enter docker ps
    const command = host.machine.enter(['"${@:-bash}"']).join(' ')
    const file = path.join(host.machine.dir, 'enter')
    await writeFile(file, `#!/bin/sh\nexec ${command}\n`, { mode: 0o755 })
  }

  /**
   * Ctrl-C takes the lab down before the process. Were we killed, the machines end by themselves.
   */
  #destroyOnSignals(): void {
    if (this.#entry.keep) return
    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      process.once(signal, () => {
        void this.destroy().finally(() => process.exit(exitCode))
      })
    }
  }
}

function engineOfEachHost(options: LabOptions): readonly EngineVersion[] {
  const { hosts, engine = '28.5' } = options
  if (typeof engine === 'string') return Array.from({ length: hosts }, () => engine)
  if (engine.length !== hosts) throw new Error(`${engine.length} engines for ${hosts} hosts`)
  return engine
}

async function ensureRoots(
  versions: readonly EngineVersion[],
  report: (line: string) => void,
): Promise<Map<EngineVersion, string>> {
  const roots = new Map<EngineVersion, string>()
  await Promise.all(
    [...new Set(versions)].map(async (version) => {
      roots.set(version, await ensureRoot(version, report))
    }),
  )
  return roots
}
