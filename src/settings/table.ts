import {
  type Parsed,
  parseAddress,
  parseDuration,
  parseInteger,
  parseJoin,
  parseListenAddress,
  parseName,
  parsePath,
  parsePools,
  parseScope,
  parseSeconds,
  parseSwitch,
  parseVoters,
} from './values.ts'

/**
 * One setting of the plugin. The table below is the single source for what is accepted, for the env
 * section of config.json and for the table in README.
 */
export interface Setting<T, D extends string | null> {
  /** The environment variable. */
  readonly name: string
  /** One or two sentences for the operator. */
  readonly description: string
  /** The text that stands for an absent or empty variable; null when its absence has a meaning. */
  readonly preset: D
  /** What the absence means, where `preset` is null. */
  readonly absent?: string
  /** A good value, for the message about a bad one. */
  readonly example: string
  /** False for what only tests and the image set. */
  readonly settable: boolean
  /** True when no log, answer or message may show the value. */
  readonly secret: boolean
  readonly parse: (text: string) => Parsed<T>
}

/** Every IPv4 host accepts datagrams of this size (RFC 791 section 3.1); less is a typing error. */
const minUnderlayMtu = 576
/** A rotation takes three minutes. */
const minKeyRotationMs = 5 * 60_000
/** Who gets hold of a key reads this much. */
const maxKeyRotationMs = 30 * 86_400_000
/** A restart must not cost a host its addresses. */
const minForgetAfterMs = 10_000
/** An engine that is busy may take some seconds between the calls for one container. */
const minOrphanGraceMs = 5000
/** A week. */
const maxOrphanGraceMs = 7 * 86_400_000
/** Ten years, which stands for never. */
const maxForgetAfterMs = 3650 * 86_400_000

function setting<T, D extends string | null>(
  entry: Omit<Setting<T, D>, 'settable' | 'secret'>,
  marks: { settable?: boolean; secret?: boolean } = {},
): Setting<T, D> {
  return { ...entry, settable: marks.settable ?? true, secret: marks.secret ?? false }
}

function path(name: string, description: string, preset: string): Setting<string, string> {
  return setting(
    { name, description, preset, example: preset, parse: parsePath },
    { settable: false },
  )
}

function onUnlessOff(name: string, description: string): Setting<boolean, string> {
  return setting({ name, description, preset: 'on', example: 'off', parse: parseSwitch })
}

/** All settings, by their names in the code. */
export const settingsTable = {
  join: setting({
    name: 'JOIN',
    description:
      'Members to join, as host or host:port, separated by commas or spaces. One live member is enough; leave it empty on the first host.',
    preset: null,
    absent: 'none',
    example: '192.0.2.10,192.0.2.11:7946',
    parse: parseJoin,
  }),
  advertiseAddress: setting({
    name: 'ADVERTISE_ADDR',
    description: 'The address at which the other hosts reach this one, for gossip and VXLAN.',
    preset: null,
    absent: "BIND_ADDR, else the default route's",
    example: '192.0.2.11',
    parse: parseAddress,
  }),
  dataAddress: setting({
    name: 'DATA_ADDR',
    description:
      'An address of this host for VXLAN and encrypted tunnels, where that is another network than gossip has.',
    preset: null,
    absent: 'ADVERTISE_ADDR',
    example: '198.51.100.11',
    parse: parseAddress,
  }),
  bindAddress: setting({
    name: 'BIND_ADDR',
    description: 'The address to listen at for gossip.',
    preset: null,
    absent: 'all addresses',
    example: '192.0.2.11',
    parse: parseAddress,
  }),
  gossipPort: setting({
    name: 'GOSSIP_PORT',
    description: 'The port for gossip, TCP and UDP. The same on all hosts unless JOIN names ports.',
    preset: '7946',
    example: '7946',
    parse: (text) => parseInteger(text, 1, 65_535),
  }),
  vxlanPort: setting({
    name: 'VXLAN_PORT',
    description: 'The UDP port for VXLAN. It must be the same on all hosts.',
    preset: '4789',
    example: '4789',
    parse: (text) => parseInteger(text, 1024, 65_535),
  }),
  wireguardPort: setting({
    name: 'WIREGUARD_PORT',
    description: 'The UDP port for the tunnels of encrypted networks.',
    preset: '51820',
    example: '51820',
    parse: (text) => parseInteger(text, 1024, 65_535),
  }),
  scope: setting({
    name: 'SCOPE',
    description:
      'The scope of the managed driver: local, or global for networks of a swarm. ' +
      'The short driver name ts-overlay is always local.',
    preset: 'local',
    example: 'global',
    parse: parseScope,
  }),
  pools: setting({
    name: 'POOLS',
    description:
      'Ranges for networks without --subnet, as range:length, separated by commas or spaces. ' +
      'It must be the same on all hosts.',
    preset: '10.128.0.0/9:24',
    example: '10.128.0.0/9:24,fd00:10::/48:64',
    parse: parsePools,
  }),
  token: setting(
    {
      name: 'TOKEN',
      description:
        'The join token that "ts-overlay invite" prints on a member. Or, the same on all hosts from the ' +
        'start, a random text of at least 128 bits.',
      preset: null,
      absent: 'none',
      example: 'the output of: openssl rand -hex 32',
      parse: (text) => ({ value: text }),
    },
    { secret: true },
  ),
  tokenFile: setting({
    name: 'TOKEN_FILE',
    description:
      'A file with the token, instead of TOKEN. The plugin sees the folder /run/docker/plugins of the host ' +
      'as /host-plugins.',
    preset: null,
    absent: 'none',
    example: '/host-plugins/ts-overlay.token',
    parse: parsePath,
  }),
  gossipKeyRotationMs: setting({
    name: 'GOSSIP_KEY_ROTATION',
    description: 'How often the keys change that gossip is encrypted with.',
    preset: '12h',
    example: '12h',
    parse: (text) => parseDuration(text, minKeyRotationMs, maxKeyRotationMs),
  }),
  debug: setting({
    name: 'DEBUG',
    description: 'Modules whose debug log is written, such as ts-overlay:* for all.',
    preset: null,
    absent: 'none',
    example: 'ts-overlay:driver,ts-overlay:ipam',
    parse: (text) => ({ value: text }),
  }),
  memberName: setting({
    name: 'MEMBER_NAME',
    description: 'The name of this host in the cluster, unique among all hosts.',
    preset: null,
    absent: 'host name and a random suffix',
    example: 'rack4-host7',
    parse: parseName,
  }),
  auditMs: setting({
    name: 'AUDIT_SECONDS',
    description: 'Seconds between audits, which compare the kernel with the desired state.',
    preset: '30',
    example: '30',
    parse: parseSeconds,
  }),
  filter: setting({
    name: 'FILTER',
    description:
      'Whether frames are dropped that a container sends from other addresses than its own, or that a ' +
      'host without containers on the network sends: on or off.',
    preset: 'on',
    example: 'off',
    parse: parseSwitch,
  }),
  engineApi: onUnlessOff(
    'ENGINE_API',
    "Whether the plugin uses the engine's API: with it, a network that is created on one host is " +
      'created on all: on or off.',
  ),
  names: onUnlessOff(
    'NAMES',
    'Whether the names of containers on other hosts resolve in the containers of this host: on or off.',
  ),
  fastPath: onUnlessOff(
    'FAST_PATH',
    'Whether eBPF forwards frames past the bridge, from Linux 5.10 on: on or off.',
  ),
  orphanGraceMs: setting({
    name: 'ORPHAN_AFTER',
    description:
      'How long an endpoint, address or subnet is kept that nothing on this host uses and that the ' +
      'engine no longer has.',
    preset: '2m',
    example: '2m',
    parse: (text) => parseDuration(text, minOrphanGraceMs, maxOrphanGraceMs),
  }),
  forgetAfterMs: setting({
    name: 'FORGET_AFTER',
    description:
      'How long a dead member is kept. Then it is evicted and its addresses are free. ' +
      'It must be the same on all hosts.',
    preset: '72h',
    example: '72h',
    parse: (text) => parseDuration(text, minForgetAfterMs, maxForgetAfterMs),
  }),
  voters: setting({
    name: 'VOTERS',
    description:
      'How many members vote on what the cluster agrees on: 1, 3, 5 or 7. ' +
      'With 5, two may fail at a time. It must be the same on all hosts.',
    preset: '5',
    example: '5',
    parse: parseVoters,
  }),
  underlayMtu: setting({
    name: 'MTU',
    description: 'The MTU of the underlay, in bytes. Containers get 50 less, 70 less over IPv6.',
    preset: null,
    absent: 'that of the interface with DATA_ADDR',
    example: '9000',
    parse: (text) => parseInteger(text, minUnderlayMtu, 65_535),
  }),
  metricsAddress: setting({
    name: 'METRICS_ADDR',
    description:
      'Where metrics, /healthz and the page for browsers are served, as address:port; a port alone is at 127.0.0.1.',
    preset: null,
    absent: 'off',
    example: '127.0.0.1:9467',
    parse: parseListenAddress,
  }),
  stateDir: path('STATE_DIR', 'The directory of the store.', '/data'),
  legacySocketDir: path('LEGACY_SOCKET_DIR', "The engine's plugin directory.", '/host-plugins'),
  sandboxDir: path(
    'SANDBOX_DIR',
    "Where the engine's network namespaces of containers are.",
    '/host-docker/netns',
  ),
  engineSocket: path(
    'ENGINE_SOCKET',
    "The socket of the engine's API.",
    '/host-docker/docker.sock',
  ),
  managedSocket: path(
    'MANAGED_SOCKET',
    'The socket that config.json names.',
    '/run/docker/plugins/ts-overlay.sock',
  ),
} as const
