/** The levels of test, from nothing real to everything real, and what each needs of the machine. */
import { existsSync, globSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import { projectDir } from './lab/paths.ts'

export interface Level {
  readonly name: string
  /** Test files, for levels that mocha runs. */
  readonly files?: readonly string[]
  /**
   * Files that are run by a process of their own each, because they take long; another one runs the
   * rest.
   */
  readonly apart?: readonly string[]
  /** How many processes share the files that are not `apart`; one by default. */
  readonly processes?: number
  /** A command that passes or fails as a whole and counts as one test, for the others. */
  readonly command?: readonly string[]
  /** More arguments for mocha. */
  readonly mochaArgs?: readonly string[]
  /** The command that runs its processes elsewhere. */
  readonly via?: readonly string[]
  /**
   * How much of a processor each of its processes takes; less than 1 where tests wait for the
   * kernel or for others.
   */
  readonly load: number
  /** Why the level cannot run on this machine; undefined when it can. */
  readonly obstacle?: () => Promise<string | undefined>
}

/**
 * The kernel of the level `kernels`, and its files. `make kernels` names one; among all other
 * levels one short boot is enough.
 */
const kernelSeries = process.env['KERNEL'] || '6.1'
const kernelFiles =
  process.env['FILES'] ||
  (process.env['KERNEL'] ? 'test/kernels/**/*.test.ts' : 'test/kernels/wireguard.test.ts')
/** Two engines with a plugin and a container each. */
const kernelMemoryMb = 7000
const kernelSeconds = 2900
const vm = path.join(projectDir, 'test/kernels/vm')
/** Of a quiet machine's; the processor is emulated. */
const kernelTimeFactor = 60

/** In the order in which they start; those that take longest are among the first. */
export const levels: readonly Level[] = [
  { name: 'lint', command: ['npm', 'run', '--silent', 'lint'], load: 1 },
  { name: 'types', command: ['npm', 'run', '--silent', 'types'], load: 1 },
  {
    name: 'e2e',
    files: ['test/e2e/**/*.test.ts'],
    processes: 2,
    mochaArgs: ['--require', 'test/e2e/hooks.ts', '--timeout', '60000'],
    load: 0.5,
    obstacle: async () => (await withoutKernel()) ?? (await withoutDebootstrap()),
  },
  {
    name: 'unit',
    files: ['test/unit/**/*.test.ts', 'packages/*/test/unit/**/*.test.ts'],
    processes: 2,
    load: 0.9,
  },
  { name: 'contract', files: ['test/contract/**/*.test.ts'], load: 0.5 },
  { name: 'conformance', files: ['test/conformance/**/*.test.ts'], load: 1 },
  {
    name: 'interop',
    files: ['packages/*/test/interop/**/*.test.ts'],
    load: 0.2,
    obstacle: withoutSerf,
  },
  {
    name: 'simulation',
    files: ['test/simulation/**/*.test.ts', 'packages/*/test/simulation/**/*.test.ts'],
    apart: ['test/simulation/ipam.test.ts', 'test/simulation/ipam-churn.test.ts'],
    processes: 2,
    mochaArgs: ['--timeout', '60000'],
    load: 1,
  },
  {
    name: 'hostile',
    files: ['test/hostile/**/*.test.ts'],
    mochaArgs: ['--timeout', '60000'],
    load: 1,
  },
  {
    name: 'netns',
    files: ['test/netns/**/*.test.ts'],
    apart: ['test/netns/every-fault.test.ts', 'test/netns/vanishing-links.test.ts'],
    processes: 2,
    mochaArgs: ['--timeout', '30000'],
    load: 0.5,
    obstacle: withoutKernel,
  },
  {
    name: 'kernels',
    files: kernelFiles.split(' '),
    apart: ['test/kernels/engines.test.ts', 'test/kernels/fail-closed.test.ts'],
    via: [
      vm,
      'run',
      `-s${projectDir}`,
      `-ePATH=${projectDir}/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      `-eTEST_TIME_FACTOR=${kernelTimeFactor}`,
      `-ePLUGIN_PROGRAM=${projectDir}/build/plugin/rootfs/app`,
      `-m${kernelMemoryMb}`,
      `-t${kernelSeconds}`,
      kernelSeries,
    ],
    load: 1,
    obstacle: withoutStockKernel,
  },
]

/** What `make check` runs: no root, under a minute. */
export const quickLevels: readonly string[] = ['lint', 'types', 'unit', 'contract']

/**
 * The files of a level for each of its processes, sorted; none where nobody has written any yet.
 */
export function partsOf(level: Level): string[][] {
  const { files = [], apart = [], processes = 1 } = level
  const all = globSync([...files], { cwd: projectDir }).sort()
  const shared = all.filter((file) => !apart.includes(file))
  const dealt = Array.from({ length: processes }, (_, process) =>
    shared.filter((_file, index) => index % processes === process),
  )
  const alone = apart.filter((file) => all.includes(file)).map((file) => [file])
  return [...alone, ...dealt].filter((part) => part.length > 0)
}

/** Tests that make namespaces need root, and a kernel with what an overlay is made of. */
async function withoutKernel(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'not root'
  const devices = ['veth', 'bridge', 'vxlan id 1 dstport 4789']
  const make = devices
    .map((type, index) => `ip link add name lab${index} type ${type}`)
    .join(' && ')
  const tried = await execa('unshare', ['--net', 'sh', '-c', make], { reject: false })
  if (tried.failed) return `the kernel makes no veth, bridge or VXLAN device: ${tried.stderr}`
  return undefined
}

/** A stock kernel is fetched and booted in a virtual machine. */
async function withoutStockKernel(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'not root'
  if (process.arch !== 'x64') return 'only on x86-64'
  const tools = await execa('qemu-system-x86_64', ['--version'], { reject: false })
  if (tools.failed) return 'no qemu-system-x86_64'
  const fetched = await execa(vm, ['kernel', kernelSeries], { reject: false })
  return fetched.failed ? fetched.stderr : undefined
}

async function withoutDebootstrap(): Promise<string | undefined> {
  const names = ['/usr/sbin/debootstrap', '/usr/bin/debootstrap']
  return names.some((name) => existsSync(name)) ? undefined : 'no debootstrap'
}

async function withoutSerf(): Promise<string | undefined> {
  const found = await execa('serf', ['version'], { reject: false })
  return found.failed ? 'no serf' : undefined
}
