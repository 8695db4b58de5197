/**
 * What the house test allows. Numbers only go down: a room that needs more than its target has a line in docs/adr that
 * says what it buys.
 */

/** Which rooms a room may import from, besides itself. */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  base: [],
  net: ['base'],
  settings: ['base', 'net'],
  host: ['base', 'net'],
  'engine-api': ['base', 'net'],
  'engine-client': ['base', 'net'],
  identity: ['base', 'net'],
  consensus: ['base', 'net'],
  peers: ['base', 'net'],
  paths: ['base', 'net'],
  names: ['base', 'net'],
  networks: ['base', 'net'],
  ipam: ['base', 'net'],
  cluster: ['base', 'net'],
  dataplane: ['base', 'net'],
  store: ['base', 'net'],
  admin: ['base', 'net'],
  driver: ['base', 'net', 'engine-api', 'ipam', 'cluster', 'dataplane', 'store'],
}

/** The files at the top of src, and what of src they may import: rooms and other such files; `*` is all. */
export const topArrows: Readonly<Record<string, readonly string[]>> = {
  'src/version.ts': [],
  'src/rights.ts': ['host'],
  'src/resolver.ts': ['base', 'dataplane', 'wiring'],
  'src/plugin.ts': ['wiring', 'cluster', 'dataplane', 'consensus', 'driver', 'ipam'],
  'src/main.ts': ['*'],
}

/** Packages that only one place may know. */
export const confinedPackages: Readonly<Record<string, RegExp>> = {
  '@prometheus-io/client': /^src\/admin\//,
  express: /^src\/(engine-api|admin)\//,
  'dns-packet': /^src\/names\//,
  'memberlist-js': /^src\/cluster\//,
  '@peculiar/asn1-x509': /^src\/identity\//,
  '@peculiar/asn1-schema': /^src\/identity\//,
  koffi: /^src\/(dataplane\/linux|host\/rights)\//,
  netmask: /^src\/net\//,
  debug: /^src\/base\//,
}

export const maxFileLines = 300
export const maxFunctionLines = 60
export const maxCommentColumns = 100
export const maxFolderFiles = 12

/** Lines with comments: what a room has at most, and the target where that is less. */
export const budgets: Readonly<Record<string, { readonly max: number; readonly target?: number }>> =
  {
    base: { max: 1215, target: 900 },
    net: { max: 708, target: 400 },
    settings: { max: 655 },
    host: { max: 845 },
    identity: { max: 2930, target: 900 },
    store: { max: 800, target: 750 },
    'engine-api': { max: 1265, target: 1200 },
    'engine-client': { max: 470, target: 400 },
    consensus: { max: 5268, target: 1600 },
    cluster: { max: 5330, target: 4000 },
    peers: { max: 350 },
    paths: { max: 610 },
    ipam: { max: 3000 },
    dataplane: { max: 10579, target: 5200 },
    driver: { max: 3040, target: 1900 },
    networks: { max: 1100, target: 600 },
    names: { max: 850, target: 700 },
    admin: { max: 700 },
    wiring: { max: 4600, target: 600 },
    top: { max: 385, target: 285 },
  }

/** Lines of packages/page, without its style sheet. */
export const maxPageLines = 1000

/** What src is to have in all, with all rooms of the plan. */
export const targetOfSrc = 23_500

/** Folders with more files than they should have, each with how many it may have. */
export const crowdedFolders: Readonly<Record<string, number>> = {}

/** Files with a function that is longer than it should be, each with how long it may be. */
export const longFunctions: Readonly<Record<string, number>> = {}

/** Imports that close a circle of files or folders, `importer -> imported`, until they are gone. */
export const knownCircles: readonly RegExp[] = [/^src\/ipam\/\w+ -> src\/ipam\/\w+$/]

/** Rooms that export what no other file imports, until they are done. */
export const unusedExports: readonly string[] = []

/** Rooms whose comments have wider lines until they are done. */
export const wideComments: readonly string[] = []

/** Words of a private language, the field's word for each, and the rooms where they are still found. */
export const bannedWords: readonly {
  readonly pattern: RegExp
  readonly instead: string
  readonly notYet?: readonly string[]
}[] = [
  {
    pattern: /\banew\b/i,
    instead: 'again',
  },
  { pattern: /\bfor so long\b/i, instead: 'for this long' },
  {
    pattern: /\bwhoever\b/i,
    instead: 'the member, caller or process',
  },
  {
    pattern: /\bbeliev(e|es|ed|ing|able)\b/i,
    instead: 'assume, expect, suspect',
  },
  {
    pattern: /\b(takes?|took|taken) (itself|themselves|it|us|them|one) for\b/i,
    instead: 'consider, treat as',
  },
  {
    pattern: /\b(gives?|gave|giving) way\b/i,
    instead: 'yield, is replaced',
  },
  {
    pattern: /\b[a-z]\w*[a-z](Most|Least)(Ms|Bytes)?\b/,
    instead: 'max…, min…',
  },
  { pattern: /\b[a-z]\w*[a-z](Max|Min)(Ms|Bytes)?\b/, instead: 'max…, min…' },
  { pattern: /(?<!Number\.)\b(MAX|MIN)_[A-Z]/, instead: 'max…, min…' },
  { pattern: /\bcomplain/i, instead: 'finding' },
  { pattern: /\b(farewell|goodbye)/i, instead: 'leave' },
  { pattern: /\bstory\b/i, instead: 'lifecycle' },
  {
    pattern: /\bstrangers?\b/i,
    instead: 'unknown member, origin or link',
  },
  { pattern: /\bknocks?\b/i, instead: 'reprobe' },
  { pattern: /\bgreet/i, instead: 'hello, sync on join' },
  {
    pattern: /\b(former|earlier|another|its) li(fe|ves)\b|\bin this life\b/i,
    instead: 'before the restart',
  },
  {
    pattern: /\bbooks?\b/i,
    instead: 'store, table',
    notYet: ['consensus'],
  },
  { pattern: /\bputs? right\b/i, instead: 'repair' },
  { pattern: /\bnews\b/i, instead: 'update' },
  { pattern: /\bshelf\b/i, instead: 'pool table' },
  { pattern: /\bSurroundings\b/, instead: 'context' },
  { pattern: /\bwires\b/, instead: 'data plane' },
  { pattern: /\blinger/i, instead: 'delayed teardown' },
  { pattern: /(?<!gossip)\boddit(y|ies)\b/i, instead: 'counters' },
  { pattern: /\b[Tt]he room of\b/, instead: 'what the room is' },
  { pattern: /\blookAround\b/, instead: 'snapshot' },
  {
    pattern: /\bso many\b/i,
    instead: 'this many',
  },
  { pattern: /\bsees? to it\b/i, instead: 'ensure' },
  { pattern: /\bin vain\b/i, instead: 'without success' },
]
