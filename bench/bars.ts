/**
 * What a figure must not pass. Those that tests asserted before they stopped asserting time are all
 * here.
 */
export interface Bar {
  readonly unit: string
  readonly atMost?: number
  readonly atLeast?: number
}

/** By the name of the figure. A figure without a bar is shown with its trend alone. */
export const bars: Readonly<Record<string, Bar>> = {
  // The engine dials half a second after the start.
  'start: first answer after an install': { unit: 'ms', atMost: 300 },
  'start: first answer later': { unit: 'ms', atMost: 300 },
  'start: first answer with 20 networks': { unit: 'ms', atMost: 300 },
  'burst: CPU, table to kernel': { unit: 'ms', atMost: 150 },
  'burst: CPU of a turn, table to kernel, p99': { unit: 'ms', atMost: 20 },
  'burst: CPU, wire to kernel': { unit: 'ms', atMost: 260 },
  'burst: CPU of a turn, wire to kernel, p99': { unit: 'ms', atMost: 30 },
  'burst: turn while 40 containers are replaced, p99': { unit: 'ms', atMost: 20 },
  'paths: least one-way time, fast path to bridge': { unit: '', atMost: 0.9 },
  'paths: own cost over the underlay, fast path to bridge': { unit: '', atMost: 0.7 },
  'paths: small packets, fast path to bridge': { unit: '', atLeast: 1.2 },
  'paths: one TCP stream, fast path to bridge': { unit: '', atLeast: 1.08 },
  'addresses: owned block, without the disk': { unit: 'ms', atMost: 1 },
  'addresses: first of a host on a network': { unit: 'ms', atMost: 50 },
  'addresses: a thousand at once': { unit: 'ms', atMost: 8000 },
  'hostile: answer under random packets, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under gossip in the clear, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under compressed packets, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under sealed packets of no session, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under messages about sessions, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under frames to VXLAN, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under connections that say nothing, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under connections with junk, p99': { unit: 'ms', atMost: 50 },
  'hostile: answer under TLS without a certificate, p99': { unit: 'ms', atMost: 50 },
  'hostile: memory of the process': { unit: 'MB', atMost: 256 },
  'hostile: members that were suspected': { unit: '', atMost: 0 },
  'rotation: pings lost': { unit: '', atMost: 0 },
  'rotation: members not alive': { unit: '', atMost: 0 },
  'names: DNS query, added by forwarding': { unit: 'ms', atMost: 0.3 },
  'names: DNS query, own name': { unit: 'ms' },
  'names: 200 idle sandboxes, CPU': { unit: '%' },
  'overlays: docker run above no network, ratio to overlay': { unit: '', atMost: 0.4 },
  'overlays: least UDP time, ratio to overlay': { unit: '', atMost: 0.85 },
  'overlays: least TCP time, ratio to overlay': { unit: '', atMost: 0.85 },
  'overlays: own cost over the underlay, ratio to overlay': { unit: '', atMost: 0.7 },
  'overlays: small packets, ratio to overlay': { unit: '', atLeast: 1.2 },
  'overlays: one TCP stream, ratio to overlay': { unit: '', atLeast: 1.08 },
  'overlays: CPU for a gigabyte, ratio to overlay': { unit: '', atMost: 0.9 },
  'networks: from create to usable on three hosts': { unit: 'ms', atMost: 1000 },
  "networks: the same with the engines' own addresses": { unit: 'ms', atMost: 1000 },
  'networks: a renamed container on the other hosts': { unit: 'ms', atMost: 1000 },
  'processes: memory of a process': { unit: 'MB', atMost: 160 },
  'processes: idle processor of a process': { unit: '%', atMost: 0.2 },
  'processes: rows that are wrong': { unit: '', atMost: 0 },
  'hosts: gone after a cut cable': { unit: 'ms', atMost: 6000 },
  'hosts: back after a mended cable': { unit: 'ms', atMost: 3000 },
  'hosts: longest time that a row is late': { unit: 'ms', atMost: 2000 },
  'hosts: longest silence of a ping': { unit: 'ms', atMost: 500 },
}
