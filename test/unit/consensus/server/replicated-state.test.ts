import { expect } from 'chai'
import type { StateMachine } from '../../../../src/consensus/ports.ts'
import {
  ReplicatedState,
  type SessionCommand,
  encodeCommand,
  encodeDissolution,
  maxOutstanding,
} from '../../../../src/consensus/server/replicated-state.ts'

/** Counts the commands that it applied. */
function counter(): StateMachine & { count: number } {
  return {
    version: 1,
    count: 0,
    apply() {
      return Uint8Array.of(++this.count)
    },
    query: () => new Uint8Array(),
    snapshot() {
      return Uint8Array.of(this.count)
    },
    restore([count]) {
      this.count = count!
    },
  }
}

const at = { index: 1, timeMs: 0, version: 1 }
const command = (more: Partial<SessionCommand> = {}): Uint8Array =>
  encodeCommand({
    member: 'h1',
    incarnation: 7,
    sequence: 1,
    acknowledged: 1,
    command: Uint8Array.of(9),
    ...more,
  })

describe('the replicated state', () => {
  it('applies a command that comes twice once, and gives the same result', () => {
    const machine = counter()
    const state = new ReplicatedState(machine)
    expect(state.apply(command(), at)).to.deep.equal(state.apply(command(), at))
    expect(machine.count).to.equal(1)
  })

  it('remembers that after a snapshot, too', () => {
    const before = new ReplicatedState(counter())
    before.apply(command(), at)
    const machine = counter()
    const state = new ReplicatedState(machine)
    state.restore(before.snapshot())
    expect(state.snapshot()).to.deep.equal(before.snapshot())
    state.apply(command(), at)
    expect(machine.count).to.equal(1)
  })

  it('takes commands of one session in any order', () => {
    const machine = counter()
    const state = new ReplicatedState(machine)
    for (const sequence of [3, 1, 2, 3]) state.apply(command({ sequence }), at)
    expect(machine.count).to.equal(3)
  })

  it('applies nothing of a session that was dropped, or that the client has the result of', () => {
    const machine = counter()
    const state = new ReplicatedState(machine)
    state.apply(command({ sequence: 3, acknowledged: 3 }), at)
    expect(machine.count).to.equal(0)
    state.apply(command(), at)
    state.apply(command({ sequence: 2, acknowledged: 2 }), at)
    expect(state.apply(command(), at)).to.deep.equal({ kind: 'expired' })
    expect(machine.count).to.equal(2)
  })

  it('keeps two sessions of a member, and no more than some results of one', () => {
    const state = new ReplicatedState(counter())
    for (const incarnation of [1, 2, 3]) state.apply(command({ incarnation }), at)
    const again = { incarnation: 1, sequence: 2, acknowledged: 2 }
    expect(state.apply(command(again), at)).to.deep.equal({ kind: 'expired' })
    for (let sequence = 2; sequence <= maxOutstanding; sequence++)
      state.apply(command({ incarnation: 3, sequence }), at)
    const more = { incarnation: 3, sequence: maxOutstanding + 1 }
    expect(state.apply(command(more), at)).to.deep.equal({ kind: 'full' })
  })

  it('counts what cannot be read as no command', () => {
    const machine = counter()
    const state = new ReplicatedState(machine)
    for (const data of [new Uint8Array(), Uint8Array.of(9), command().subarray(0, 4)])
      expect(state.apply(data, at)).to.deep.equal({ kind: 'expired' })
    expect(machine.count).to.equal(0)
  })

  it('is merged into one cluster, the first that was agreed on', () => {
    const state = new ReplicatedState(counter())
    for (const into of ['x.0.1', 'y.0.1']) state.apply(encodeDissolution(into), at)
    expect(state.dissolvedInto).to.equal('x.0.1')
    state.restore(new Uint8Array())
    expect(state.dissolvedInto).to.equal(null)
  })
})
