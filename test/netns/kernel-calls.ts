import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { constants } from 'node:os'
import koffi from 'koffi'
import { NetlinkError, NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { libc } from '../../src/dataplane/linux/netlink/syscall.ts'

/*
 * The calls by which the Linux data plane reaches the kernel, of which a test has one fail. Three layers: what netlink
 * is asked, where the kernel says no; the calls of the system, to namespaces, mounts and files; and the reading of
 * netlink's answers, where what was asked has been done.
 */

export type Layer = 'requests' | 'system calls' | 'answers'

/** Told before each call what it is; the name of an error to fail it with, or null. */
export type BeforeCall = (call: string) => keyof typeof constants.errno | null

type AnyFunction = (...args: unknown[]) => unknown
type Functions = Record<string, AnyFunction>

const ours = '/src/dataplane/linux/'
/** `returnTo` ends the process when it fails, as it must. Options of sockets fail as sockets do. */
const spared = ['returnTo', 'setSocketOption']
const fileCalls = [
  'openSync',
  'writeFileSync',
  'unlinkSync',
  'mkdirSync',
  'statfsSync',
  'statSync',
  'fstatSync',
  'readdirSync',
]

/** Has `before` told of each call of a layer from now on. @returns what ends that. */
export function watchCalls(layer: Layer, before: BeforeCall): () => void {
  const requests = NetlinkSocket.prototype as unknown as Functions
  const files = fs as unknown as Functions
  const ended: (() => void)[] = []
  const watch = (on: Functions, names: readonly string[], fail: Fail): void => {
    for (const name of names) ended.push(watchCall(on, name, before, fail))
  }
  if (layer === 'requests')
    watch(requests, ['send', 'sendFromThread', 'transact', 'get', 'dump', 'scan'], refuse)
  else if (layer === 'answers') watch(files, ['readSync'], throwSystemError)
  else {
    watch(libc, Object.keys(libc), setErrno)
    watch(files, fileCalls, throwSystemError)
  }
  syncBuiltinESMExports()
  return () => {
    for (const end of ended) end()
    syncBuiltinESMExports()
  }
}

type Fail = (call: string, code: keyof typeof constants.errno) => unknown

function watchCall(on: Functions, name: string, before: BeforeCall, fail: Fail): () => void {
  const original = on[name]!
  on[name] = function (this: unknown, ...args: unknown[]) {
    const code = isOurs() ? before(name) : null
    return code === null ? original.apply(this, args) : fail(name, code)
  }
  return () => (on[name] = original)
}

function isOurs(): boolean {
  const stack = new Error().stack!
  return stack.includes(ours) && !spared.some((name) => stack.includes(name))
}

const refuse: Fail = (_call, code) => {
  throw new NetlinkError(constants.errno[code], 'made up')
}

const throwSystemError: Fail = (call, code) => {
  const errno = -constants.errno[code]
  throw Object.assign(new Error(`${code}: made up, ${call}`), { code, errno, syscall: call })
}

const setErrno: Fail = (_call, code) => {
  koffi.errno(constants.errno[code])
  return -1
}
