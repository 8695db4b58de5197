/** The levels of test, from nothing real to everything real, and what each needs of the machine. */
import { existsSync, globSync } from 'node:fs'
import { execa } from 'execa'
import { projectDir } from './lab/paths.ts'

export interface Level {
  readonly name: string
  /** Test files, for levels that mocha runs. */
  readonly files?: readonly string[]
  /** Some of the files, which wait for the kernel most of the time or go by no clock: another process runs them meanwhile, and gives way. */
  readonly beside?: readonly string[]
  /** A command that passes or fails as a whole and counts as one test, for the others. */
  readonly command?: readonly string[]
  /** More arguments for mocha. */
  readonly mochaArgs?: readonly string[]
  /** Why the level cannot run on this machine; undefined when it can. */
  readonly obstacle?: () => Promise<string | undefined>
}

export const levels: readonly Level[] = [
  { name: 'lint', command: ['npm', 'run', '--silent', 'lint'] },
  { name: 'types', command: ['npm', 'run', '--silent', 'types'] },
  { name: 'unit', files: ['test/unit/**/*.test.ts', 'packages/*/test/unit/**/*.test.ts'] },
  { name: 'contract', files: ['test/contract/**/*.test.ts'] },
  { name: 'conformance', files: ['test/conformance/**/*.test.ts'] },
  { name: 'interop', files: ['packages/*/test/interop/**/*.test.ts'], obstacle: withoutSerf },
  {
    name: 'simulation',
    files: ['test/simulation/**/*.test.ts', 'packages/*/test/simulation/**/*.test.ts'],
    beside: ['test/simulation/ipam.test.ts', 'test/simulation/ipam-churn.test.ts'],
    mochaArgs: ['--timeout', '60000'],
  },
  {
    name: 'hostile',
    files: ['test/hostile/**/*.test.ts'],
    mochaArgs: ['--timeout', '60000'],
  },
  {
    name: 'netns',
    files: ['test/netns/**/*.test.ts'],
    beside: ['test/netns/every-fault.test.ts', 'test/netns/vanishing-links.test.ts'],
    mochaArgs: ['--timeout', '30000'],
    obstacle: withoutKernel,
  },
  {
    name: 'e2e',
    files: ['test/e2e/**/*.test.ts'],
    mochaArgs: ['--require', 'test/e2e/hooks.ts', '--timeout', '60000'],
    obstacle: async () => (await withoutKernel()) ?? (await withoutDebootstrap()),
  },
]

/** The files of a level, sorted; none where nobody has written any yet. */
export function filesOf(level: Level): string[] {
  return globSync([...(level.files ?? [])], { cwd: projectDir }).sort()
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

async function withoutDebootstrap(): Promise<string | undefined> {
  const names = ['/usr/sbin/debootstrap', '/usr/bin/debootstrap']
  return names.some((name) => existsSync(name)) ? undefined : 'no debootstrap'
}

async function withoutSerf(): Promise<string | undefined> {
  const found = await execa('serf', ['version'], { reject: false })
  return found.failed ? 'no serf' : undefined
}
