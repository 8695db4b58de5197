import { execa } from 'execa'
import type { Host } from '../test/support/lab/host.ts'

/** A Docker host that traffic is measured on. */
export interface BenchHost {
  readonly name: string
  /** On the underlay. */
  readonly address: string
  /** Runs a command as root in the host's own network; returns what it prints. */
  run(command: readonly string[]): Promise<string>
  /**
   * The command that runs `command` in the network of a process of the host, or in the host's own:
   * with the programs of the machine, not with those of a container.
   */
  inside(process: number | 'host', command: readonly string[]): string[]
  /** Seconds that processors have worked since the machine started. Equal keys are one machine. */
  busySeconds(): Promise<{ readonly machine: string; readonly seconds: number }>
}

/** A host of the lab. */
export function labHost(host: Host): BenchHost {
  const init = host.machine.initPid
  return {
    name: host.name,
    address: host.address,
    run: async (command) => (await host.exec(command, { timeout: 120_000 })).stdout.trim(),
    inside: (process, command) => {
      const own = process === 'host' ? `/proc/${init}/ns/net` : `${procOf(init)}/${process}/ns/net`
      return ['nsenter', `--net=${own}`, ...command]
    },
    busySeconds: async () => busyFrom('this machine', (await execa('cat', ['/proc/stat'])).stdout),
  }
}

/** The lab host's own view of its processes. */
const procOf = (init: number): string => `/proc/${init}/root/proc`

/** A machine by `ssh`, as root; `target` is what ssh takes, `root@192.0.2.1`. */
export function sshHost(target: string): BenchHost {
  const ssh = (command: readonly string[]): string[] => [
    'ssh',
    target,
    command.map(quote).join(' '),
  ]
  const run = async (command: readonly string[]): Promise<string> => {
    const [program, ...words] = ssh(command)
    return (await execa(program!, words)).stdout.trim()
  }
  return {
    name: target,
    address: target.split('@').at(-1)!,
    run,
    inside: (process, command) =>
      ssh(process === 'host' ? command : ['nsenter', `--net=/proc/${process}/ns/net`, ...command]),
    busySeconds: async () => busyFrom(target, await run(['cat', '/proc/stat'])),
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`

/** proc(5): user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second. */
function busyFrom(machine: string, stat: string): { machine: string; seconds: number } {
  const [user, nice, system, , , irq, softirq] = stat
    .split('\n')[0]!
    .split(/ +/)
    .slice(1)
    .map(Number)
  return { machine, seconds: (user! + nice! + system! + irq! + softirq!) / 100 }
}

/** Seconds of all processors of these hosts while `act` ran; a machine of two hosts counts once. */
export async function busyDuring<Result>(
  hosts: readonly BenchHost[],
  act: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly seconds: number }> {
  const look = async (): Promise<Map<string, number>> => {
    const all = await Promise.all(hosts.map((host) => host.busySeconds()))
    return new Map(all.map(({ machine, seconds }) => [machine, seconds]))
  }
  const before = await look()
  const result = await act()
  const after = await look()
  const seconds = [...after].reduce((sum, [name, value]) => sum + value - before.get(name)!, 0)
  return { result, seconds }
}
