import * as v from 'valibot'
import { cidrContains, cidrLength, parseCidr, parseIpInCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import { parseMac } from '../../src/net/mac.ts'

/*
 * What an engine does with an answer of status 200. Some of it fails the user's command, some of it
 * only does silent harm; here all of it is a fault. Keys that are not named are faults as well,
 * because each key of these answers has an effect.
 */

type Answer = Readonly<Record<string, unknown>>
type Check = (request: never, answer: Answer) => string | null

const scope = v.picklist(['local', 'global'])
const nothing = v.strictObject({})
const someText = v.pipe(v.string(), v.nonEmpty())

const capabilities = v.strictObject({ Scope: scope, ConnectivityScope: v.optional(scope) })
const ipamCapabilities = v.strictObject({
  RequiresMACAddress: v.literal(false),
  RequiresRequestReplay: v.boolean(),
})
const addressSpaces = v.pipe(
  v.strictObject({ LocalDefaultAddressSpace: someText, GlobalDefaultAddressSpace: someText }),
  v.check(
    (spaces) => spaces.LocalDefaultAddressSpace !== spaces.GlobalDefaultAddressSpace,
    'the two address spaces must differ',
  ),
)
const data = v.optional(v.record(v.string(), v.string()))
const pool = v.strictObject({ PoolID: someText, Pool: v.string(), Data: data })
const address = v.strictObject({ Address: v.string(), Data: data })
const allocated = v.strictObject({ Options: v.record(v.string(), v.string()) })
const endpoint = v.strictObject({
  Interface: v.optional(v.nullable(v.strictObject({ MacAddress: v.optional(v.string()) }))),
})
// A Gateway would cost the container its published ports; a default route would do so too.
const joined = v.strictObject({
  InterfaceName: v.strictObject({
    SrcName: v.pipe(someText, v.maxBytes(15), v.regex(/^[^/\s]+$/)),
    DstPrefix: v.pipe(someText, v.regex(/^[a-z]+$/)),
  }),
  StaticRoutes: v.optional(
    v.array(
      v.strictObject({
        Destination: v.pipe(v.string(), v.regex(/\/[1-9]\d*$/)),
        RouteType: v.literal(1),
        NextHop: v.literal(''),
      }),
    ),
  ),
})
const information = v.strictObject({ Value: v.record(v.string(), v.unknown()) })
const activation = v.strictObject({ Implements: v.array(v.string()) })

function shaped(schema: v.GenericSchema): Check {
  return (_request, answer) => shapeFault(schema, answer)
}

function shapeFault(schema: v.GenericSchema, answer: Answer): string | null {
  const result = v.safeParse(schema, answer)
  return result.success ? null : v.summarize(result.issues)
}

/** The pool that is wanted when one was asked for, else any; always without host bits. */
function poolFault(request: { Pool: string; V6?: boolean }, answer: Answer): string | null {
  const fault = shapeFault(pool, answer)
  if (fault !== null) return fault
  const given = answer['Pool'] as string
  const parsed = parseCidr(given)
  if (parsed === null) return `the pool ${given} is no prefix, or has host bits`
  if (request.Pool !== '' && parseIpInCidr(request.Pool)?.cidr !== parsed)
    return `the pool is ${given}, not ${request.Pool}`
  return given.includes(':') === (request.V6 ?? false) ? null : 'the pool is of the other family'
}

/** The address that is wanted when one was asked for, else any, with its pool's length. */
function addressFault(request: { Address: string }, answer: Answer): string | null {
  const fault = shapeFault(address, answer)
  if (fault !== null) return fault
  const given = answer['Address'] as string
  const parsed = parseIpInCidr(given)
  if (parsed === null) return `the address ${given} is not in CIDR form`
  if (request.Address !== '' && parsed.ip !== parseIp(request.Address))
    return `the address is ${given}, not ${request.Address}`
  return cidrContains(parsed.cidr, parsed.ip) && cidrLength(parsed.cidr) > 0 ? null : 'no pool'
}

/**
 * A field may be filled only when it arrived empty, even with an equal value. A MAC address has to
 * be filled when none was asked for, or `docker inspect` shows none.
 */
function endpointFault(
  request: { Interface: { MacAddress: string } },
  answer: Answer,
): string | null {
  const fault = shapeFault(endpoint, answer)
  if (fault !== null) return fault
  const filled = (answer['Interface'] as { MacAddress?: string } | null)?.MacAddress ?? ''
  if (request.Interface.MacAddress !== '')
    return filled === '' ? null : 'driver modified interface MAC address. Cannot be modified'
  return parseMac(filled) === null ? `"${filled}" is no MAC address` : null
}

const checks: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['Plugin.Activate', shaped(activation)],
  ['NetworkDriver.GetCapabilities', shaped(capabilities)],
  ['NetworkDriver.AllocateNetwork', shaped(allocated)],
  ['NetworkDriver.CreateEndpoint', endpointFault],
  ['NetworkDriver.Join', shaped(joined)],
  ['NetworkDriver.EndpointOperInfo', shaped(information)],
  ['IpamDriver.GetCapabilities', shaped(ipamCapabilities)],
  ['IpamDriver.GetDefaultAddressSpaces', shaped(addressSpaces)],
  ['IpamDriver.RequestPool', poolFault],
  ['IpamDriver.RequestAddress', addressFault],
])

/** What is wrong with an answer to that request; null when nothing is. */
export function checkAnswer(name: string, request: unknown, answer: Answer): string | null {
  return (checks.get(name) ?? shaped(nothing))(request as never, answer)
}
