import type { Ip } from '../../../net/ip.ts'
import type { Vni } from '../../../net/vni.ts'

/** The UDP port and the VNI of an overlay's VXLAN device. */
export interface Tunnel {
  readonly port: number
  readonly vni: Vni
}

/** What the data plane asks of the filter in the host's namespace. */
export interface HostFilter {
  /** Whether this kernel has nf_tables. */
  readonly isSupported: boolean
  /** Whether frames are filtered. */
  readonly isActive: boolean
  /** What does not belong to one tunnel. */
  ensureHost(): string[]
  ensure(tunnel: Tunnel): string[]
  release(tunnel: Tunnel): void
  sources(vni: Vni): Ip[]
  /** Frames that were dropped because of their source, since the filter was made. */
  dropped(): number
  setSources(vni: Vni, vteps: readonly Ip[]): void
  close(): void
}

/** Filters nothing, and remembers what it is told. */
export class NoFilter implements HostFilter {
  readonly isSupported: boolean
  readonly isActive = false
  readonly #sources = new Map<Vni, readonly Ip[]>()

  constructor(isSupported: boolean) {
    this.isSupported = isSupported
  }

  ensureHost(): string[] {
    return []
  }

  ensure(): string[] {
    return []
  }

  release({ vni }: Tunnel): void {
    this.#sources.delete(vni)
  }

  sources(vni: Vni): Ip[] {
    return [...(this.#sources.get(vni) ?? [])]
  }

  dropped(): number {
    return 0
  }

  setSources(vni: Vni, vteps: readonly Ip[]): void {
    this.#sources.set(vni, vteps)
  }

  close(): void {}
}
