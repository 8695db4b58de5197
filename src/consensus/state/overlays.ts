import * as v from 'valibot'
import { freeVni, vniLast } from '../../net/vni.ts'
import { Claims, type ClaimsSnapshot } from './claims.ts'
import { count, id, list, overlayId, uint32 } from './fields.ts'
import type { Members } from './members.ts'
import { type Section, Refused, memberOperation, question } from './section.ts'

/** In the whole cluster; a scan for a free VNI is bounded by it. */
const maxOverlays = 16_384
/** Overlays that one member may have. */
const maxPerMember = 1024

const vni = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(vniLast))

/** What a member wants of an overlay; see `attachOverlay`. */
interface OverlayWish {
  readonly overlayId: string
  readonly encrypted: boolean
  readonly vni: number | null
  readonly start: number
  readonly avoid: readonly number[]
}

/** What all members of an overlay have in common. */
interface Overlay {
  readonly vni: number
  readonly encrypted: boolean
}

/** The VNI of each overlay, unique in the cluster. */
export class Overlays implements Section {
  readonly #members: Members
  readonly #overlays = new Claims<Overlay>(maxOverlays, maxPerMember)

  constructor(members: Members) {
    this.#members = members
  }

  readonly operations = {
    /**
     * The caller attaches to an overlay, whose VNI is the answer: what it has, else `vni`, else one
     * that is free and none of `avoid`, searched from `start`. It is encrypted for all or for none.
     */
    attachOverlay: memberOperation(
      1,
      v.object({
        id,
        overlayId,
        encrypted: v.boolean(),
        vni: v.nullable(vni),
        start: uint32,
        avoid: list(vni, 4096),
      }),
      (command, { at, member }) => {
        const known = this.#overlays.get(command.overlayId)
        const holder = () => this.#holderOf(command.overlayId)
        if (known !== undefined && command.vni !== null && command.vni !== known.vni)
          throw new Refused('OTHER_VNI', { vni: known.vni, member: holder() })
        if (known !== undefined && command.encrypted !== known.encrypted)
          throw new Refused('OTHER_ENCRYPTION', { member: holder() })
        const { encrypted } = command
        const choose = (): Overlay => ({ vni: this.#chooseVni(command), encrypted })
        const { vni: agreed } = this.#overlays.hold(
          command.overlayId,
          member.number,
          at.index,
          choose,
        )
        return { vni: agreed }
      },
    ),
    /** The caller is not attached any more, if that is its grant. */
    detachOverlay: memberOperation(
      1,
      v.object({ id, overlayId, grant: count }),
      (command, { member }) => {
        this.#overlays.release(command.overlayId, member.number, command.grant)
        return {}
      },
    ),
  }

  readonly questions = {
    /** The overlays that the caller is attached to, and its grant; `known` as in `holdings`. */
    attachedOverlays: question(v.object({ id }), (asked) => {
      const member = this.#members.get(asked.id)
      if (member === undefined) return { known: false, grant: 0, overlays: [] }
      const held = this.#overlays.heldBy(member.number)
      const overlays = Array.from(held, ([overlayId, { vni: agreed }]) => ({
        overlayId,
        vni: agreed,
      }))
      return { known: true, grant: this.#overlays.grantOf(member.number), overlays }
    }),
  }

  snapshot(): ClaimsSnapshot<Overlay> {
    return this.#overlays.snapshot()
  }

  restore(snapshot: unknown): void {
    this.#overlays.restore(snapshot as ClaimsSnapshot<Overlay>)
  }

  memberGone(number: number): void {
    this.#overlays.drop(number)
  }

  #chooseVni({ vni, start, avoid }: OverlayWish): number {
    const byVni = new Map(
      Array.from(this.#overlays.entries(), ([key, { vni: taken }]) => [taken, key]),
    )
    const other = vni === null ? undefined : byVni.get(vni)
    if (other !== undefined) {
      const holder = this.#holderOf(other)
      throw new Refused('VNI_IN_USE', { overlay: other, member: holder })
    }
    if (vni !== null) return vni
    const free = freeVni(start, (taken) => byVni.has(taken) || avoid.includes(taken))
    if (free === null) throw new Refused('NONE_LEFT')
    return free
  }

  #holderOf(key: string): string {
    return this.#members.nameOf(this.#overlays.someHolder(key) ?? 0)
  }
}
