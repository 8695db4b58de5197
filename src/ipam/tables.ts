/** The store's tables that belong to this room. */
export const tables = {
  /** `identity`: our id. `heard`: when our membership was last renewed; see `Membership`. */
  self: 'ipam.self',
  /** By pool key: the pools this host holds, and what is agreed of each. */
  pools: 'ipam.pools',
  /** By `INDEX POOL`: the blocks we own, with their grants. */
  blocks: 'ipam.blocks',
  /** By `OFFSET POOL`: the addresses we handed out on this host. */
  leases: 'ipam.leases',
} as const

/** Tables of releases that voted on addresses; their rows mean nothing here. */
export const formerTables = ['ipam.roster', 'ipam.votes', 'ipam.releasing'] as const

/** The key of a block's or an address's row. */
export function rowKey(number: number, poolKey: string): string {
  return `${number} ${poolKey}`
}

/** Reads such a key; null for anything else. */
export function parseRowKey(key: string): { number: number; poolKey: string } | null {
  const match = /^(0|[1-9]\d{0,15}) (.+)$/.exec(key)
  return match === null ? null : { number: Number(match[1]), poolKey: match[2]! }
}
