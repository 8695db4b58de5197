/** The store's tables that belong to this room. */
export const tables = {
  /** `identity`: our voter id. `claims`: no claim number at or above `below` was used. `heard`: see `Fence`. */
  self: 'ipam.self',
  /** `current`: the roster we follow. `promise`: what we promised about the next one. */
  roster: 'ipam.roster',
  /** By item: the votes we gave. */
  votes: 'ipam.votes',
  /** By item: votes of others that we asked for and must give back. */
  releasing: 'ipam.releasing',
  /** By pool key: the pools this host holds. */
  pools: 'ipam.pools',
  /** By block item: the blocks we own. */
  blocks: 'ipam.blocks',
  /** By address item: the addresses we handed out on this host. */
  leases: 'ipam.leases',
} as const
