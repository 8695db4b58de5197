import { setTimeout as sleep } from 'node:timers/promises'
import { Command, CommanderError } from 'commander'
import { printable } from '../../../src/base/printable.ts'
import { version } from '../../../src/version.ts'
import { type AdminSocket, socketDefault } from './admin-socket.ts'
import { type Options, add, exitCodes } from './command.ts'
import { completionScripts, completions } from './completion.ts'
import { addDiagnosis } from './diagnosis.ts'
import { type Views, differencesOf, printDifferences, printViews } from './diff.ts'
import { ownPluginName } from './engine-plugins.ts'
import { memberNamed } from './member-name.ts'
import { print, printJson } from './output.ts'
import { writeReport } from './report.ts'
import { printMembers, printNetworks, printStatus, statusOf, troublesOf } from './status-view.ts'
import { findPlaces, printPlaces } from './where.ts'

/** All commands. Each talks to the plugin of this host only, and knows nothing by itself. */
export function createProgram(): Command {
  const program = new Command('ts-overlay')
    .description('Looks at and operates the overlay networks of ts-overlay on this host.')
    .version(version, '--version', 'the version of this command line')
    .option('--socket <path>', `the plugin's socket (default: ${socketDefault})`)
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
  addViews(program)
  addDiagnosis(program)
  addEvents(program)
  addActions(program)
  addShellCommands(program)
  return program
}

function addViews(program: Command): void {
  add(program, 'status', 'hosts, networks, and what is wrong', async ({ socket, options }) => {
    const status = await statusOf(socket)
    const views = options.all ? await viewsOf(socket) : null
    if (options.json) printJson(views === null ? status : { ...status, views })
    else printStatus(status)
    if (!options.json && views !== null) printViews(views)
    return troublesOf(status).length === 0 ? exitCodes.ok : exitCodes.trouble
  }).option('--all', 'also what each host says of itself')
  add(program, 'diff', 'where the hosts do not agree', async ({ socket, options }) => {
    const differences = differencesOf(await viewsOf(socket))
    if (options.json) printJson(differences)
    else printDifferences(differences)
    return differences.length === 0 ? exitCodes.ok : exitCodes.differ
  })
  add(program, 'members', 'the hosts of the cluster', async ({ socket, options }) => {
    const status = await statusOf(socket)
    const all = options.all ?? false
    if (options.json) printJson(status.members.filter(({ state }) => all || state !== 'left'))
    else printMembers(status, { all })
  }).option('--all', 'those that have left, too')
  add(program, 'networks', 'the networks of this host', async ({ socket, options }) => {
    const status = await statusOf(socket)
    if (options.json) printJson(status.overlays)
    else printNetworks(status)
  })
  const what = 'where an address, MAC address, container or network is'
  add(program, 'where <what>', what, async ({ socket, options, args: [wanted] }) => {
    const places = findPlaces(await statusOf(socket), wanted!)
    if (options.json) printJson(places)
    else if (places.length > 0) printPlaces(places)
    else process.stderr.write(`ts-overlay: no network of this host has ${printable(wanted!)}\n`)
    return places.length > 0 ? exitCodes.ok : exitCodes.trouble
  })
}

interface LoggedEvent {
  readonly sequence: number
  readonly at: string
  readonly event: string
  readonly message: string
}

/** What the line of `invite` calls the plugin. */
const usualName = 'ts-overlay/ts-overlay'
/** How often the plugin is asked with `events --follow`, ms. */
const followMs = 1000

function addEvents(program: Command): void {
  add(program, 'events', 'what happened since the plugin started', async (call) => {
    const { socket, options } = call
    let after = 0
    for (;;) {
      const { events } = await socket.ask<{ events: LoggedEvent[] }>(
        'GET',
        `/events?after=${after}`,
      )
      for (const event of events) {
        if (options.json) print(JSON.stringify(event).split('\n').map(printable).join(' '))
        else print(printable(`${event.at}  ${event.event.padEnd(15)}  ${event.message}`))
      }
      if (!options.follow) return
      after = events.at(-1)?.sequence ?? after
      await sleep(followMs)
    }
  }).option('-f, --follow', 'go on with what happens')
}

function addActions(program: Command): void {
  add(
    program,
    'invite',
    'print the line that installs the plugin on another host',
    async ({ socket, options }) => {
      const { hours, uses, rotate = false } = options
      const limits = [
        ...(hours === undefined ? [] : [`seconds=${Number(hours) * 3600}`]),
        ...(uses === undefined ? [] : [`uses=${uses}`]),
        ...(rotate ? ['rotate=true'] : []),
      ]
      const query = limits.length === 0 ? '' : `?${limits.join('&')}`
      const answer = await socket.ask<{ line: string }>('POST', `/invite${query}`)
      // The plugin does not know under which name its engine has it.
      const name = await ownPluginName()
      const line = name === null ? answer.line : answer.line.replace(usualName, name)
      if (options.json) printJson({ line })
      else print(printable(line))
    },
  )
    .option('--hours <number>', 'how long its token holds (default: 24)')
    .option('--uses <number>', 'how many hosts may join with it (default: any number)')
    .option('--rotate', 'end all tokens that were made or chosen before')
  add(program, 'evict <host...>', 'hosts are gone for good: free their addresses', async (call) => {
    const { socket, options, args } = call
    const status = await statusOf(socket)
    const names = args.map((word) => encodeURIComponent(memberNamed(status, word)))
    const path = `/members/${names.join(',')}${forced(options)}`
    const answer = await socket.ask<{ evicted: string[] }>('DELETE', path)
    if (options.json) printJson(answer)
    else print(`evicted: ${printable(answer.evicted.join(', '))}`)
  }).option('--force', 'also hosts that can be reached')
  add(program, 'recover', 'make a new cluster when a majority is gone for good', async (call) => {
    const answer = await call.socket.ask<{ cluster: string }>(
      'POST',
      `/recover${forced(call.options)}`,
    )
    if (call.options.json) printJson(answer)
    else print(`recovered: ${printable(answer.cluster)}`)
  }).option('--force', 'also while a majority answers')
  const drop = 'remove a network that this host’s engine does not have'
  add(program, 'drop-network <id>', drop, async ({ socket, options, args: [id] }) => {
    const path = `/networks/${encodeURIComponent(id!)}`
    const answer = await socket.ask<{ removed: string }>('DELETE', path)
    if (options.json) printJson(answer)
    else print(`removed: ${printable(answer.removed)}`)
  })
  addSubnetCommand(program)
  addKeyCommands(program)
  const report = 'write an archive for a bug report, without secrets'
  add(program, 'report', report, async ({ socket, options }) => {
    const { output = `ts-overlay-report-${process.pid}.tar.gz` } = options
    const tell = (step: string): void => void process.stderr.write(`${step}\n`)
    const files = await writeReport(socket, output, options.json ? () => {} : tell)
    if (options.json) printJson({ archive: output, files })
    else print(output)
  }).option('-o, --output <file>', 'where to write it')
}

function addKeyCommands(program: Command): void {
  const summary = 'this host’s certificate and the gossip key in use'
  const keys = add(program, 'keys', summary, async ({ socket, options }) => {
    const { admission } = await statusOf(socket)
    if (options.json) return printJson(admission)
    if (admission === null) return print('this host is no member of a cluster: it has no keys')
    print(`cluster ${admission.cluster}, gossip key ${admission.epoch}`)
    print(`certificate until ${admission.certificateUntil}; ${admission.evicted} evicted`)
  })
  add(keys, 'rotate', 'have the gossip key replaced on all hosts', async ({ socket, options }) => {
    if (options.wireguard === true) {
      const path = '/keys/rotate/wireguard'
      const answer = await socket.ask<{ publicKey: string }>('POST', path)
      if (options.json) return printJson(answer)
      return print(`the WireGuard key is being replaced by ${printable(answer.publicKey)}`)
    }
    const answer = await socket.ask<{ epoch: number }>('POST', '/keys/rotate')
    if (options.json) return printJson(answer)
    print(`gossip key ${answer.epoch} is being replaced; it takes some minutes`)
  }).option('--wireguard', 'instead, the key that this host encrypts networks with')
}

function addSubnetCommand(program: Command): void {
  const network = program.command('network').summary('change a network of all hosts').exitOverride()
  const summary = 'give a network one more subnet, on all hosts, while it runs'
  add(network, 'add-subnet <network> <subnet>', summary, async ({ socket, options, args }) => {
    const [name, subnet] = args.map(encodeURIComponent)
    const path = `/networks/${name}/subnets?subnet=${subnet}`
    const answer = await socket.ask<{ network: string; subnet: string }>('POST', path)
    if (options.json) printJson(answer)
    else print(`added to ${printable(answer.network)}: ${printable(answer.subnet)}`)
  })
}

function forced({ force = false }: Options): string {
  return force ? '?force=true' : ''
}

function addShellCommands(program: Command): void {
  program
    .command('completion <shell>')
    .summary('print what makes bash or zsh complete')
    .exitOverride()
    .action((shell: string) => {
      const script = completionScripts[shell]
      if (script === undefined) throw new CommanderError(exitCodes.away, 'shell', 'bash or zsh')
      process.stdout.write(script)
    })
  program
    .command('__complete [words...]', { hidden: true })
    .allowUnknownOption()
    .helpOption(false)
    .passThroughOptions()
    .action(async (words: string[]) => {
      for (const line of await completions(program, words)) print(line)
    })
}

function viewsOf(socket: AdminSocket): Promise<Views> {
  return socket.ask<Views>('GET', '/views')
}
