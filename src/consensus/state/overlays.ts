import * as v from 'valibot'
import { type Vni, vniFirst, vniLast } from '../../net/vni.ts'
import { id, list, name, overlayId, uint32 } from './fields.ts'
import type { Members } from './members.ts'
import { type Section, Refused, memberOperation, question } from './section.ts'

/** In the whole cluster; a scan for a free VNI is bounded by it. */
const maxOverlays = 16_384
/** Overlays and network names that one member may have. */
const maxPerMember = 1024

const vni = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(vniLast))

interface Overlay {
  readonly vni: number
  readonly holders: Set<number>
}

interface Network {
  readonly overlayId: string
  readonly holders: Set<number>
}

interface Snapshot {
  readonly overlays: readonly (readonly [id: string, vni: number, holders: readonly number[]])[]
  readonly networks: readonly (readonly [name: string, id: string, holders: readonly number[]])[]
}

/** The VNI of each overlay, unique in the cluster, and the overlay of each network name. */
export class Overlays implements Section {
  readonly #members: Members
  readonly #overlays = new Map<string, Overlay>()
  readonly #vnis = new Map<number, string>()
  readonly #networks = new Map<string, Network>()

  constructor(members: Members) {
    this.#members = members
  }

  readonly operations = {
    /**
     * The caller attaches to an overlay, whose VNI is the answer: what it has, else `vni`, else one
     * that is free and none of `avoid`, searched from `start`.
     */
    attachOverlay: memberOperation(
      1,
      v.object({ id, overlayId, vni: v.nullable(vni), start: uint32, avoid: list(vni, 4096) }),
      (command, { member }) => {
        const overlay = this.#attach(command, member.number)
        overlay.holders.add(member.number)
        return { vni: overlay.vni }
      },
    ),
    detachOverlay: memberOperation(1, v.object({ id, overlayId }), (command, { member }) => {
      this.#detach(command.overlayId, member.number)
      return {}
    }),
    /** A network's name is one overlay in the whole cluster. */
    claimName: memberOperation(1, v.object({ id, name, overlayId }), (command, { member }) => {
      const known = this.#networks.get(command.name)
      if (known !== undefined && known.overlayId !== command.overlayId) {
        const holder = this.#nameOf(known.holders)
        throw new Refused('NAME_TAKEN', { overlay: known.overlayId, member: holder })
      }
      this.#checkQuota(this.#networks, member.number, known)
      const network = known ?? { overlayId: command.overlayId, holders: new Set() }
      this.#networks.set(command.name, network)
      network.holders.add(member.number)
      return {}
    }),
    releaseName: memberOperation(1, v.object({ id, name }), (command, { member }) => {
      this.#releaseName(command.name, member.number)
      return {}
    }),
  }

  readonly questions = {
    overlays: question(v.object({}), () =>
      Array.from(this.#overlays, ([overlayId, { vni }]) => ({ overlayId, vni })),
    ),
    networks: question(v.object({}), () =>
      Array.from(this.#networks, ([name, { overlayId }]) => ({ name, overlayId })),
    ),
  }

  snapshot(): Snapshot {
    return {
      overlays: Array.from(this.#overlays, ([id, { vni, holders }]) => [id, vni, [...holders]]),
      networks: Array.from(this.#networks, ([name, { overlayId, holders }]) => {
        return [name, overlayId, [...holders]]
      }),
    }
  }

  restore(snapshot: unknown): void {
    const { overlays, networks } = snapshot as Snapshot
    for (const known of [this.#overlays, this.#vnis, this.#networks]) known.clear()
    for (const [id, vni, holders] of overlays) {
      this.#overlays.set(id, { vni, holders: new Set(holders) })
      this.#vnis.set(vni, id)
    }
    for (const [name, overlayId, holders] of networks) {
      this.#networks.set(name, { overlayId, holders: new Set(holders) })
    }
  }

  memberGone(number: number): void {
    for (const overlayId of this.#overlays.keys()) this.#detach(overlayId, number)
    for (const name of this.#networks.keys()) this.#releaseName(name, number)
  }

  #attach(
    wish: { overlayId: string; vni: number | null; start: number; avoid: readonly number[] },
    member: number,
  ): Overlay {
    const known = this.#overlays.get(wish.overlayId)
    if (known !== undefined && wish.vni !== null && wish.vni !== known.vni) {
      throw new Refused('OTHER_VNI', { vni: known.vni, member: this.#nameOf(known.holders) })
    }
    this.#checkQuota(this.#overlays, member, known)
    if (known !== undefined) return known
    const other = wish.vni === null ? undefined : this.#vnis.get(wish.vni)
    if (other !== undefined) {
      const holder = this.#nameOf(this.#overlays.get(other)!.holders)
      throw new Refused('VNI_IN_USE', { overlay: other, member: holder })
    }
    const overlay = { vni: wish.vni ?? this.#freeVni(wish), holders: new Set<number>() }
    this.#overlays.set(wish.overlayId, overlay)
    this.#vnis.set(overlay.vni, wish.overlayId)
    return overlay
  }

  #freeVni({ start, avoid }: { start: number; avoid: readonly number[] }): Vni {
    const taken = new Set(avoid)
    const span = vniLast - vniFirst + 1
    for (let step = 0; ; step++) {
      const vni = vniFirst + ((start + step) % span)
      if (!this.#vnis.has(vni) && !taken.has(vni)) return vni as Vni
    }
  }

  /** Without `known` the member would have one more. */
  #checkQuota(
    all: ReadonlyMap<string, { readonly holders: ReadonlySet<number> }>,
    member: number,
    known: { readonly holders: ReadonlySet<number> } | undefined,
  ): void {
    if (known?.holders.has(member) === true) return
    let held = 0
    for (const { holders } of all.values()) if (holders.has(member)) held++
    const isFull = known === undefined && all.size >= maxOverlays
    if (held >= maxPerMember || isFull) throw new Refused('QUOTA')
  }

  #detach(overlayId: string, member: number): void {
    const overlay = this.#overlays.get(overlayId)
    if (overlay?.holders.delete(member) !== true || overlay.holders.size > 0) return
    this.#overlays.delete(overlayId)
    this.#vnis.delete(overlay.vni)
  }

  #releaseName(name: string, member: number): void {
    const network = this.#networks.get(name)
    if (network?.holders.delete(member) === true && network.holders.size === 0) {
      this.#networks.delete(name)
    }
  }

  #nameOf(holders: ReadonlySet<number>): string {
    const [first] = holders
    return first === undefined ? '' : this.#members.nameOf(first)
  }
}
