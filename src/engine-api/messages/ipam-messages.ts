import * as v from 'valibot'
import * as field from './fields.ts'

/** The bodies of IpamDriver.*, with the names that the engine gives them. */

export const requestPoolRequest = field.objectOf({
  AddressSpace: v.nullish(v.string(), ''),
  Pool: field.cidrOrNull,
  SubPool: field.cidrOrNull,
  Options: field.textOptions,
  V6: v.nullish(v.boolean(), false),
})

export const poolRequest = field.objectOf({ PoolID: field.someText })

/** The value of `RequestAddressType` that marks the address of a network's gateway. */
export const gatewayType = 'com.docker.network.gateway'

/** The container's name, from engine 29 on. */
export const endpointNameOption = 'com.docker.network.endpoint.name'

export const requestAddressRequest = field.objectOf({
  PoolID: field.someText,
  Address: field.ipOrNull,
  Options: v.nullish(
    field.objectOf({
      RequestAddressType: v.nullish(v.string(), ''),
      [endpointNameOption]: v.nullish(v.string(), ''),
    }),
    {},
  ),
})

export const releaseAddressRequest = field.objectOf({ PoolID: field.someText, Address: field.ip })

export interface RequestPoolResponse {
  readonly PoolID: string
  readonly Pool: string
  readonly Data: Readonly<Record<string, string>>
}

export interface RequestAddressResponse {
  readonly Address: string
  readonly Data: Readonly<Record<string, string>>
}

export type RequestAddressRequest = v.InferOutput<typeof requestAddressRequest>
