import { failure } from '../../../base/errors.ts'
import type { FastPathMode } from '../bpf/fast-path.ts'
import { pinName } from '../netlink/names.ts'
import { OverlayNetns } from './overlay-netns.ts'
import { Pin } from './pin.ts'

/**
 * The overlays' namespaces by overlay id, kept open between calls. The pins on the disk decide:
 * a pin that was removed is restored, and a namespace that was pinned in its place is taken.
 */
export class OverlayNamespaces {
  readonly #directories: readonly string[]
  readonly #mode: FastPathMode
  readonly #open = new Map<string, OverlayNetns>()
  readonly #warned = new Set<string>()

  /** `mode` is for all fast paths, and warns of pins as well. */
  constructor(directories: readonly string[], mode: FastPathMode) {
    this.#directories = directories
    this.#mode = mode
  }

  /** The overlay's namespace; null when it has none on this host. */
  find(overlayId: string): OverlayNetns | null {
    const held = this.#open.get(overlayId)
    if (held?.isPinned === true) return held
    if (held !== undefined && !held.isReplaced) {
      held.ensurePinned()
      if (held.isPinned)
        this.#mode.warn(`overlay ${overlayId}: a pin ${held.path} was gone and was restored`)
      return held
    }
    const pinned = OverlayNetns.open(this.#pinOf(overlayId), this.#mode)
    held?.close()
    if (pinned === null) this.#open.delete(overlayId)
    else this.#open.set(overlayId, pinned)
    return pinned
  }

  /** The overlay's namespace. Fails with KERNEL when it has none. */
  existing(overlayId: string): OverlayNetns {
    const netns = this.find(overlayId)
    if (netns !== null) return netns
    throw failure('KERNEL', `overlay ${overlayId} has no namespace on this host; ensure it first`)
  }

  /** Makes and pins the overlay's namespace, which must not be there. */
  create(overlayId: string): OverlayNetns {
    const netns = OverlayNetns.create(this.#pinOf(overlayId), this.#mode)
    this.#open.set(overlayId, netns)
    return netns
  }

  /** Removes the overlay's namespace with its links, or leftover pins. None is no error. */
  async destroy(overlayId: string): Promise<void> {
    const netns = this.find(overlayId)
    if (netns === null) {
      this.#pinOf(overlayId).remove()
      return
    }
    await netns.clear()
    netns.close()
    this.#open.delete(overlayId)
  }

  /** Visits the namespace of any overlay on this host, without keeping it open. */
  readonly withNetns = <T>(overlayId: string, visit: (fd: number | null) => T): T => {
    const held = this.#open.get(overlayId)
    const netns = held ?? OverlayNetns.open(this.#pinOf(overlayId))
    try {
      return visit(netns?.fd ?? null)
    } finally {
      if (held === undefined) netns?.close()
    }
  }

  /** Lets go of all of them; the pins keep them. */
  close(): void {
    for (const netns of this.#open.values()) netns.close()
    this.#open.clear()
  }

  /** What is wrong with a pin is told once, because it is looked at often. */
  #pinOf(overlayId: string): Pin {
    return new Pin(this.#directories, pinName(overlayId), (message) => {
      if (!this.#warned.has(message)) this.#mode.warn(message)
      this.#warned.add(message)
    })
  }
}
