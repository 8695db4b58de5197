/**
 * `make demo`: two real Docker hosts on this one machine, the plugin as a user installs it, one
 * network, a ping across, and a drawing of what was built. With KEEP=1 the hosts stay, and the last
 * lines say how to look around.
 */
import { execa } from 'execa'
import { drawOverlay, type DrawnHost } from './demo-drawing.ts'
import { type Host, type Status, labToken } from './lab/host.ts'
import { labImage } from './lab/image.ts'
import { Lab } from './lab/lab.ts'
import { overlayKernel, type OverlayKernel } from './lab/overlay-kernel.ts'
import { guest, projectDir } from './lab/paths.ts'
import { until } from './lab/processes.ts'

const plugin = 'ts-overlay/ts-overlay'
const network = 'uber-net'
const subnet = '10.10.0.0/16'
const started = performance.now()

async function main(): Promise<void> {
  const keep = ['1', 'yes', 'true'].includes(process.env['KEEP'] ?? '')
  title('Building the plugin')
  await execa('node', ['--conditions=source', 'plugin/build.ts'], {
    cwd: projectDir,
    stdio: 'inherit',
  })
  title('Starting two Docker hosts: network namespaces with an engine each')
  const lab = await Lab.create({ hosts: 2, keep, report: say })
  try {
    await play(lab)
    if (keep) sayHowToLookAround(lab)
  } finally {
    if (!keep) {
      title('Cleaning up')
      await lab.destroy()
    }
  }
}

async function play(lab: Lab): Promise<void> {
  const [one, two] = [lab.host(1), lab.host(2)]
  title('Installing the plugin; the second host is told where the first is')
  await Promise.all([
    install(one, `TOKEN=${labToken}`),
    install(two, `TOKEN=${labToken}`, `JOIN=${one.address}`),
  ])
  await two.pluginStatusWhen(({ members }) => members.length === 2)
  title('One network, created on one host and there on both')
  await shell(
    one,
    `network create -d ts-overlay --ipam-driver ts-overlay --subnet ${subnet} ${network}`,
  )
  await until(() => hasNetwork(two), 'the network on the second host')
  await shell(two, `network ls --filter name=${network}`)
  await shell(one, `run -d --name c1 --network ${network} ${labImage} sleep 3600`)
  title('From host to host, by name')
  await shell(two, `run --rm --network ${network} ${labImage} ping -c 3 c1`)
  await shell(two, `run -d --name c2 --network ${network} ${labImage} sleep 3600`)
  title('What was built')
  const drawn = await Promise.all([describeHost(one, 1), describeHost(two, 1)])
  const [overlay] = (await one.pluginStatus()).overlays
  say(drawOverlay({ id: overlay!.overlayId, underlay: 'underlay 192.168.200.0/24' }, drawn))
}

async function hasNetwork(host: Host): Promise<boolean> {
  const { exitCode } = await host.docker(['network', 'inspect', network], { reject: false })
  return exitCode === 0
}

async function install(host: Host, ...settings: string[]): Promise<void> {
  await shell(host, `plugin create ${plugin} ${guest.project}/build/plugin`)
  if (settings.length > 0) await shell(host, `plugin set ${plugin} ${settings.join(' ')}`)
  await shell(host, `plugin enable ${plugin}`)
}

/** Runs a docker command on a host and shows both, as a terminal would. */
async function shell(host: Host, command: string): Promise<void> {
  const { stdout, durationMs } = await host.docker(command.split(' '))
  say(`${host.name}$ docker ${command}   (${(durationMs / 1000).toFixed(2)} s)`)
  say(stdout.replaceAll(/^/gm, '  '))
}

/**
 * What the plugin says of itself and what iproute2 shows in the overlay's namespace, once the
 * peers' rows are there.
 */
async function describeHost(host: Host, peers: number): Promise<DrawnHost> {
  const status = await host.pluginStatusWhen(({ overlays }) => overlays[0]?.peers.length === peers)
  const overlay = status.overlays[0]!
  const kernel = await overlayKernel(host, overlay.vni)
  if (kernel === undefined) throw new Error(`${host.name} has no namespace with VNI ${overlay.vni}`)
  const { stdout } = await host.docker(['version', '--format', '{{.Server.Version}}'])
  const vxlan = kernel.links.find(({ linkinfo }) => linkinfo?.info_kind === 'vxlan')!
  const bridge = kernel.links.find(({ linkinfo }) => linkinfo?.info_kind === 'bridge')!
  return {
    name: host.name,
    engine: stdout.trim(),
    vtep: vxlan.linkinfo?.info_data?.local ?? status.vtep,
    containers: await containersOf(host, overlay, kernel),
    bridge: bridge.ifname,
    vxlan: { name: vxlan.ifname, vni: overlay.vni, port: vxlan.linkinfo?.info_data?.port ?? 0 },
    rows: kernel.neighbours.map(({ dst, lladdr = '' }) => ({
      address: dst,
      mac: lladdr,
      vtep: kernel.fdb.find(({ mac }) => mac === lladdr)?.dst ?? 'unknown',
    })),
  }
}

async function containersOf(
  host: Host,
  overlay: Status['overlays'][number],
  kernel: OverlayKernel,
): Promise<DrawnHost['containers']> {
  const format = `{{range .Containers}}{{.EndpointID}} {{.Name}}\n{{end}}`
  const { stdout } = await host.docker(['network', 'inspect', '-f', format, network])
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [endpointId, name] = line.split(' ')
      const endpoint = overlay.endpoints.find((known) => known.endpointId === endpointId)!
      const port = kernel.links.find(({ ifalias }) => ifalias?.endsWith(endpoint.endpointId))
      const address = endpoint.addresses.join(', ')
      return { name: name!, address, mac: endpoint.mac, mtu: overlay.mtu, port: port?.ifname ?? '' }
    })
}

function sayHowToLookAround(lab: Lab): void {
  const [one, two] = lab.hosts.map((host) => `${host.machine.dir}/enter`)
  title('Both hosts stay. Some things to try')
  say(`  ${one} docker ps                       # any command on host 1; without one, a shell
  ${two} docker exec c2 ping -c 3 c1
  ${one} tail -f ${guest.lab}/host1/dockerd.log     # the engine's log, with the plugin's lines
  curl --unix-socket ${lab.host(1).machine.path('/run/docker/plugins/ts-overlay.sock')} http://plugin/status
  make clean                             # removes both hosts
`)
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

function title(text: string): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  say(`\n── ${text} (at ${seconds} s)\n`)
}

await main()
