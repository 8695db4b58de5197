import type { Delegate } from '../delegate.ts'

/**
 * The same delegate, but an error that it throws is raised as an uncaught exception of its own: it
 * must neither be taken for a broken connection nor leave the protocol half way. Only `meta` throws
 * to whoever asked for it.
 */
export function guardedDelegate(delegate: Delegate): Delegate {
  const d = delegate
  return {
    ...(d.meta && { meta: () => d.meta!() }),
    ...(d.drain && { drain: (overhead, limit) => attempt(() => d.drain!(overhead, limit), []) }),
    ...(d.localState && {
      localState: (join) => attempt(() => d.localState!(join), new Uint8Array()),
    }),
    ...(d.mergeState && {
      mergeState: (state, join, from) => attempt(() => d.mergeState!(state, join, from), undefined),
    }),
    ...(d.ackPayload && { ackPayload: () => attempt(() => d.ackPayload!(), undefined) }),
    ...(d.onAck && {
      onAck: (member, rttMs, payload) => attempt(() => d.onAck!(member, rttMs, payload), undefined),
    }),
    ...(d.acceptAlive && { acceptAlive: (member) => attempt(() => d.acceptAlive!(member), false) }),
    ...(d.acceptMerge && {
      acceptMerge: (members) =>
        attempt(() => d.acceptMerge!(members), 'the delegate threw an error'),
    }),
    ...(d.onMessage && {
      onMessage: (message, from) => attempt(() => d.onMessage!(message, from), undefined),
    }),
  }
}

/** Calls `step`; what it throws is thrown again outside of everything that is going on. */
export function attempt<R>(step: () => R, fallback: R): R {
  try {
    return step()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
    return fallback
  }
}
