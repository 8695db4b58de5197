/**
 * The engine's objects under the names that its API gives them: the fields that are used, with
 * nothing for null and for what an older engine does not say.
 */
import * as v from 'valibot'
import { failure } from '../base/errors.ts'

const text = v.nullish(v.string(), '')
const flag = v.nullish(v.boolean(), false)
const texts = v.nullish(v.record(v.string(), v.string()), {})
const textList = v.nullish(v.array(v.string()), [])

const spec = {
  Name: v.string(),
  Driver: text,
  Internal: flag,
  Attachable: flag,
  /** Since API 1.48; before that, IPv4 is always on. */
  EnableIPv4: v.nullish(v.boolean(), true),
  EnableIPv6: flag,
  Options: texts,
  Labels: texts,
  IPAM: v.object({
    Driver: text,
    Options: texts,
    /** For automatic subnets it shows what was chosen. */
    Config: v.nullish(
      v.array(v.object({ Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: texts })),
      [],
    ),
  }),
}
const specObject = v.object(spec)

const networkObject = v.object({
  ...spec,
  Id: v.string(),
  /** `local` or `swarm`. */
  Scope: text,
  Ingress: flag,
  ConfigOnly: flag,
  ConfigFrom: v.nullish(v.object({ Network: text })),
  /** Those that run, by id; empty in a list of networks. */
  Containers: v.nullish(v.record(v.string(), v.object({ Name: text, EndpointID: text })), {}),
})

const attachmentsObject = v.nullish(
  v.object({
    /** By name. The ids are empty until the container was started. */
    Networks: v.nullish(
      v.record(
        v.string(),
        v.object({
          NetworkID: text,
          EndpointID: text,
          /** Before API 1.44 with the short id; empty in a list of containers. */
          Aliases: textList,
          /** Since API 1.44, all names that the engine's resolver has; empty in a list. */
          DNSNames: textList,
        }),
      ),
      {},
    ),
  }),
  { Networks: {} },
)

const containerObject = v.object({
  Id: v.string(),
  /** With a slash before it. */
  Name: v.string(),
  State: v.object({ Status: text, Running: flag }),
  Config: v.object({ Hostname: text, Labels: texts }),
  NetworkSettings: attachmentsObject,
})

const listedContainerObject = v.object({
  Id: v.string(),
  /** Each with a slash before it. */
  Names: textList,
  /** `created`, `running`, `exited` and so on. */
  State: text,
  Labels: texts,
  NetworkSettings: attachmentsObject,
})

const eventObject = v.object({
  Type: v.picklist(['network', 'container']),
  /** `create`, `destroy`, `connect`, `disconnect`, `prune`; `start`, `die`, `rename`. */
  Action: v.string(),
  Actor: v.object({
    ID: text,
    /** `name`; of networks `type`, their driver, and `container`, the id that was connected. */
    Attributes: texts,
  }),
})

export type EngineNetworkSpec = v.InferOutput<typeof specObject>
export type EngineNetwork = v.InferOutput<typeof networkObject>
export type EngineContainer = v.InferOutput<typeof containerObject>
export type ListedContainer = v.InferOutput<typeof listedContainerObject>
export type EngineEvent = v.InferOutput<typeof eventObject>

export const networkOf = decoder(networkObject)
export const networksOf = decoder(v.array(networkObject))
export const containerOf = decoder(containerObject)
export const containersOf = decoder(v.array(listedContainerObject))
export const eventOf = decoder(eventObject)
export const createdOf = decoder(v.object({ Id: v.string() }))
export const errorOf = decoder(v.object({ message: v.string() }))

/** Reads JSON; rejects with ENGINE what is none, or has other types than these. */
function decoder<T>(schema: v.GenericSchema<unknown, T>): (json: string) => T {
  return (json) => {
    let value: unknown
    try {
      value = JSON.parse(json)
    } catch {
      throw unreadable('no JSON')
    }
    const parsed = v.safeParse(schema, value)
    if (parsed.success) return parsed.output
    const [issue] = parsed.issues
    throw unreadable(`${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`)
  }
}

function unreadable(why: string) {
  return failure('ENGINE', `the engine's API answered with what cannot be read: ${why}`)
}
