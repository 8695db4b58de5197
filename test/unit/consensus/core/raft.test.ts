import { expect } from 'chai'
import { seededRandom } from '../../../../src/base/random.ts'
import { Raft } from '../../../../src/consensus/core/raft.ts'
import {
  type Entry,
  type Message,
  type MessageOf,
  type Persistent,
  type Ready,
  limits,
} from '../../../../src/consensus/core/types.ts'

const configuration = { voters: ['a', 'b', 'c'], learners: [] as string[] }

function raftOf(more: Partial<Persistent> = {}, { id = 'a', knows = 1 } = {}): Raft {
  const data = new Uint8Array()
  const snapshot = { index: 1, term: 1, timeMs: 0, version: 1, configuration, data }
  const persistent = { term: 1, votedFor: null, snapshot, entries: [], ...more }
  return new Raft({ id, random: seededRandom(1), knows, persistent })
}

const empty = (index: number, term: number): Entry => ({ kind: 'empty', index, term, timeMs: 0 })

const vote = (fields: Partial<MessageOf<'vote'>> = {}): Message => ({
  kind: 'vote',
  term: 5,
  isPre: false,
  isTransfer: false,
  lastIndex: 1,
  lastTerm: 1,
  knows: 1,
  ...fields,
})

const append = (fields: Partial<MessageOf<'append'>> = {}): Message => ({
  kind: 'append',
  term: 2,
  prevIndex: 1,
  prevTerm: 1,
  commit: 1,
  round: 1,
  entries: [],
  ...fields,
})

const appended = (fields: Partial<MessageOf<'appended'>>): Message => ({
  kind: 'appended',
  term: 2,
  round: 1,
  match: 0,
  rejected: 0,
  hintIndex: 0,
  hintTerm: 0,
  knows: 1,
  ...fields,
})

const granted = (ready: Ready): (boolean | undefined)[] =>
  ready.messages.map(({ message }) => (message.kind === 'voted' ? message.granted : undefined))

function receive(raft: Raft, from: string, message: Message): Ready {
  raft.receive(from, message, 0)
  return raft.ready()
}

/** `a` leads term 2; nothing of it is committed. */
function leader(more: Partial<Persistent> = {}): Raft {
  const raft = raftOf(more)
  for (let ticks = 0; ticks < 2 * limits.electionTicks; ticks++) raft.tick(0)
  const term = raft.term + 1
  raft.receive('b', { kind: 'voted', term, isPre: true, granted: true }, 0)
  raft.receive('b', { kind: 'voted', term, isPre: false, granted: true }, 0)
  expect(raft.role).to.equal('leader')
  raft.ready()
  return raft
}

describe('a voter', () => {
  it('writes its vote, also when it knew the term before', () => {
    const raft = raftOf({ entries: [empty(2, 1)] })
    expect(granted(receive(raft, 'b', vote()))).to.deep.equal([false])
    const ready = receive(raft, 'c', vote({ lastIndex: 2 }))
    expect(granted(ready)).to.deep.equal([true])
    expect(ready.hardState).to.deep.equal({ term: 5, votedFor: 'c' })
    expect(granted(receive(raft, 'b', vote({ lastIndex: 9 })))).to.deep.equal([false])
  })

  it('writes a new term, in which it has voted for nobody', () => {
    const raft = raftOf({ votedFor: 'b' })
    const { hardState } = receive(raft, 'c', append({ term: 4 }))
    expect(hardState).to.deep.equal({ term: 4, votedFor: null })
  })

  it('remembers its vote after a restart', () => {
    const raft = raftOf({ term: 5, votedFor: 'b' })
    expect(granted(receive(raft, 'c', vote()))).to.deep.equal([false])
    expect(granted(receive(raft, 'b', vote()))).to.deep.equal([true])
  })

  it('prefers the log whose last term is later, however long the other is', () => {
    const raft = raftOf({ term: 3, entries: [empty(2, 3)] })
    expect(granted(receive(raft, 'b', vote({ lastIndex: 9, lastTerm: 2 })))).to.deep.equal([false])
    expect(granted(receive(raft, 'c', vote({ lastIndex: 2, lastTerm: 4 })))).to.deep.equal([true])
  })

  it('changes nothing for a pre-vote', () => {
    const raft = raftOf()
    const ready = receive(raft, 'b', vote({ isPre: true }))
    expect(granted(ready)).to.deep.equal([true])
    expect(ready.hardState).to.equal(null)
    expect(raft.term).to.equal(1)
  })

  it('keeps a leader that it hears, unless that asked for the election', () => {
    const raft = raftOf()
    receive(raft, 'c', append())
    expect(receive(raft, 'b', vote()).messages).to.deep.equal([])
    expect(granted(receive(raft, 'b', vote({ isTransfer: true })))).to.deep.equal([true])
  })

  it('votes for nobody who does not know the commands of its log', () => {
    const entries: Entry[] = [{ ...empty(2, 1), kind: 'version', version: 2 }]
    const raft = raftOf({ entries })
    expect(granted(receive(raft, 'b', vote({ lastIndex: 2 })))).to.deep.equal([false])
    expect(granted(receive(raft, 'c', vote({ lastIndex: 2, knows: 2 })))).to.deep.equal([true])
  })

  it('does not campaign when it does not know the commands of its log', () => {
    const raft = raftOf({ entries: [{ ...empty(2, 1), kind: 'version', version: 2 }] })
    for (let ticks = 0; ticks < 3 * limits.electionTicks; ticks++) raft.tick(0)
    expect(raft.role).to.equal('follower')
  })

  it('drops a message whose term is no step of ours', () => {
    const raft = raftOf()
    receive(raft, 'b', append({ term: limits.maxTermJump + 2 }))
    expect(raft.term).to.equal(1)
  })
})

describe('a candidate', () => {
  function candidate(): Raft {
    const raft = raftOf()
    for (let ticks = 0; ticks < 2 * limits.electionTicks; ticks++) raft.tick(0)
    expect(raft.role).to.equal('pre-candidate')
    expect(raft.term).to.equal(1)
    raft.receive('b', { kind: 'voted', term: 2, isPre: true, granted: true }, 0)
    expect(raft.role).to.equal('candidate')
    return raft
  }

  it('writes its term and its vote for itself before it asks', () => {
    const ready = candidate().ready()
    expect(ready.hardState).to.deep.equal({ term: 2, votedFor: 'a' })
  })

  it('asks again soon for a pre-vote that nobody answered: they may have heard a leader longer', () => {
    const raft = raftOf()
    for (let ticks = 0; ticks < 2 * limits.electionTicks; ticks++) raft.tick(0)
    raft.ready()
    for (let ticks = 0; ticks < 2 * limits.preVoteTicks; ticks++) raft.tick(0)
    const asked = raft.ready().messages.map(({ message }) => message)
    expect(asked.length).to.be.greaterThan(0)
    for (const message of asked) expect(message).to.include({ kind: 'vote', isPre: true })
    expect(raft.term).to.equal(1)
  })

  it('counts no answer to a pre-vote of another term', () => {
    const raft = raftOf()
    for (let ticks = 0; ticks < 2 * limits.electionTicks; ticks++) raft.tick(0)
    raft.receive('b', { kind: 'voted', term: 9, isPre: true, granted: true }, 0)
    expect(raft.role).to.equal('pre-candidate')
  })

  it('counts no vote that it asked for in an earlier term', () => {
    const raft = candidate()
    for (let ticks = 0; ticks < 2 * limits.electionTicks; ticks++) raft.tick(0)
    raft.receive('b', { kind: 'voted', term: 3, isPre: true, granted: true }, 0)
    expect(raft.role).to.equal('candidate')
    raft.receive('c', { kind: 'voted', term: 2, isPre: false, granted: true }, 0)
    expect(raft.role).to.equal('candidate')
  })

  it('counts no vote of another term, and no refusal', () => {
    const raft = candidate()
    raft.receive('b', { kind: 'voted', term: 2, isPre: false, granted: false }, 0)
    expect(raft.role).to.equal('candidate')
    raft.receive('c', { kind: 'voted', term: 2, isPre: true, granted: true }, 0)
    expect(raft.role).to.equal('candidate')
    raft.receive('c', { kind: 'voted', term: 2, isPre: false, granted: true }, 0)
    expect(raft.role).to.equal('leader')
  })
})

describe('a leader', () => {
  it('commits entries of earlier terms only along with one of its own', () => {
    const raft = leader({ entries: [empty(2, 1)] })
    receive(raft, 'b', appended({ term: raft.term, match: 2, round: 0 }))
    expect(raft.commit).to.equal(1)
    receive(raft, 'b', appended({ term: raft.term, match: 3, round: 0 }))
    expect(raft.commit).to.equal(3)
  })

  it('reads only when something of its term is committed, and a majority answered since', () => {
    const raft = leader()
    expect(raft.leader!.read(1)).to.equal(false)
    receive(raft, 'b', appended({ match: 2, round: 0 }))
    expect(raft.leader!.read(2)).to.equal(true)
    expect(raft.ready().reads).to.deep.equal([])
    expect(receive(raft, 'b', appended({ match: 2, round: 0 })).reads).to.deep.equal([])
    const { reads } = receive(raft, 'c', appended({ match: 1, round: 1 }))
    expect(reads).to.deep.equal([{ id: 2, index: 2 }])
  })

  it('steps down when no majority answers', () => {
    const raft = leader()
    for (let ticks = 0; ticks < 2 * limits.electionTicks; ticks++) raft.tick(0)
    expect(raft.role).to.equal('follower')
  })

  it('changes one voter at a time, and none before it has committed something', () => {
    const raft = leader()
    const without = { voters: ['a', 'b'], learners: [] }
    expect(raft.configure(without, 0)).to.equal(false)
    receive(raft, 'b', appended({ match: 2, round: 0 }))
    expect(raft.configure({ voters: ['a'], learners: [] }, 0)).to.equal(false)
    expect(raft.configure({ voters: ['b', 'c'], learners: [] }, 0)).to.equal(false)
    expect(raft.configure(without, 0)).to.equal(true)
    expect(raft.configure({ voters: ['a', 'b'], learners: ['d'] }, 0)).to.equal(false)
  })

  it('makes a voter only of a learner that has the log and knows the commands', () => {
    const raft = leader()
    receive(raft, 'b', appended({ match: 2, round: 0 }))
    expect(raft.configure({ voters: ['a', 'b', 'c', 'd'], learners: [] }, 0)).to.equal(false)
    raft.configure({ voters: ['a', 'b', 'c'], learners: ['d'] }, 0)
    receive(raft, 'b', appended({ match: 3, round: 0 }))
    const next = { voters: ['a', 'b', 'c', 'd'], learners: [] }
    receive(raft, 'd', appended({ match: 3, round: 0, knows: 0 }))
    expect(raft.configure(next, 0)).to.equal(false)
    receive(raft, 'd', appended({ match: 3, round: 0 }))
    expect(raft.configure(next, 0)).to.equal(true)
  })

  it('counts no learner for commitment', () => {
    const raft = leader()
    receive(raft, 'b', appended({ match: 2, round: 0 }))
    raft.configure({ voters: ['a', 'b', 'c'], learners: ['d'] }, 0)
    receive(raft, 'd', appended({ match: 3, round: 0 }))
    expect(raft.commit).to.equal(2)
  })

  it('raises the version to what all know, and not before all do', () => {
    const raft = new Raft({
      id: 'a',
      random: seededRandom(1),
      knows: 3,
      persistent: {
        term: 1,
        votedFor: null,
        entries: [],
        snapshot: {
          index: 1,
          term: 1,
          timeMs: 0,
          version: 1,
          data: new Uint8Array(),
          configuration: { voters: ['a'], learners: ['b'] },
        },
      },
    })
    for (let ticks = 0; ticks < 3; ticks++) raft.tick(0)
    expect(raft.log.inForce().version).to.equal(1)
    receive(raft, 'b', appended({ term: raft.term, match: 2, round: 0, knows: 2 }))
    raft.tick(0)
    expect(raft.log.inForce().version).to.equal(2)
  })

  it('takes no commands while it hands over, and hands over only to one that has the log', () => {
    const raft = leader()
    receive(raft, 'b', appended({ match: 2, round: 0 }))
    raft.propose([new Uint8Array(1)], 0)
    raft.ready()
    expect(raft.leader!.transfer('b')).to.equal(true)
    expect(raft.ready().messages.map(({ message }) => message.kind)).to.not.include('timeout-now')
    expect(raft.propose([new Uint8Array(1)], 0)).to.deep.equal([null])
    const { messages } = receive(raft, 'b', appended({ match: 3, round: 0 }))
    expect(messages.map(({ message }) => message.kind)).to.include('timeout-now')
  })

  it('sends no more than the window allows, and goes on when answers come', () => {
    const raft = leader()
    receive(raft, 'b', appended({ match: 2, round: 0 }))
    const sent = (): number =>
      raft
        .ready(Infinity)
        .messages.filter(({ to, message }) => to === 'b' && message.kind === 'append').length
    for (let i = 0; i < 3 * limits.maxInflight; i++) raft.propose([new Uint8Array(100)], 0)
    expect(sent()).to.equal(limits.maxInflight)
    raft.receive('b', appended({ match: 3, round: 0 }), 0)
    expect(sent()).to.equal(1)
  })

  it('takes no more than it may have uncommitted', () => {
    const raft = leader()
    const data = new Uint8Array(60_000)
    const taken = raft.propose(
      Array.from({ length: 40 }, () => data),
      0,
    )
    expect(taken.filter((index) => index !== null)).to.have.length(
      Math.floor(limits.maxUncommittedBytes / 60_032),
    )
  })
})

describe('a follower', () => {
  it('takes nothing of an old term, and tells the old leader of the new one', () => {
    const raft = raftOf({ term: 3 })
    const { messages, entries } = receive(raft, 'c', append({ entries: [empty(2, 2)], commit: 2 }))
    expect(entries).to.deep.equal([])
    expect(raft.leaderId).to.equal(null)
    expect(messages[0]!.message).to.include({ kind: 'appended', term: 3, match: 0 })
  })

  it('takes entries only after one that is the same', () => {
    const raft = raftOf({ entries: [empty(2, 1)] })
    const message = append({ prevIndex: 2, prevTerm: 2, entries: [empty(3, 2)] })
    expect(receive(raft, 'c', message).entries).to.deep.equal([])
    expect(raft.log.lastIndex).to.equal(2)
  })

  it('takes entries only after one that it has', () => {
    const raft = raftOf()
    const { messages } = receive(raft, 'c', append({ prevIndex: 3, prevTerm: 2 }))
    expect(messages[0]!.message).to.include({ kind: 'appended', match: 0, rejected: 3 })
  })

  it('replaces entries that contradict, writes the new ones, and acknowledges those alone', () => {
    const raft = raftOf({ entries: [empty(2, 1), empty(3, 1), empty(4, 1)] })
    const ready = receive(raft, 'c', append({ entries: [empty(2, 2)], commit: 9 }))
    expect(ready.entries).to.deep.equal([empty(2, 2)])
    expect(raft.log.lastIndex).to.equal(2)
    expect(raft.commit).to.equal(2)
    expect(ready.messages[0]!.message).to.include({ match: 2 })
  })

  it('commits and acknowledges nothing that the leader did not send', () => {
    const raft = raftOf({ entries: [empty(2, 1), empty(3, 1)] })
    const { messages } = receive(raft, 'c', append({ commit: 9 }))
    expect(raft.commit).to.equal(1)
    expect(messages[0]!.message).to.include({ match: 1 })
  })

  it('keeps what follows when a message comes late', () => {
    const raft = raftOf()
    receive(raft, 'c', append({ entries: [empty(2, 2), empty(3, 2)] }))
    receive(raft, 'c', append({ entries: [empty(2, 2)] }))
    expect(raft.log.lastIndex).to.equal(3)
  })

  it('puts a snapshot together from its pieces, and never goes back', () => {
    const raft = raftOf()
    const data = Uint8Array.of(1, 2, 3)
    const snapshot = { index: 9, term: 2, timeMs: 5, version: 1, configuration, data }
    const piece = (from: number, to: number): Message => ({
      kind: 'snapshot',
      term: 2,
      round: 1,
      offset: from,
      total: 3,
      snapshot: { ...snapshot, data: data.subarray(from, to) },
    })
    const first = receive(raft, 'c', piece(0, 2))
    expect(first.snapshot).to.equal(null)
    expect(first.messages[0]!.message).to.include({ kind: 'received', offset: 2 })
    expect(receive(raft, 'c', piece(2, 3)).snapshot).to.deep.equal(snapshot)
    expect(raft.commit).to.equal(9)
    const older = { ...snapshot, index: 5 }
    const again = { kind: 'snapshot', term: 2, round: 1, offset: 0, total: 3, snapshot: older }
    expect(receive(raft, 'c', again as Message).snapshot).to.equal(null)
    expect(raft.log.lastIndex).to.equal(9)
  })

  it('falls back to the configuration before when the entry of the last one is replaced', () => {
    const raft = raftOf()
    const other = { voters: ['a', 'b'], learners: [] }
    const entry: Entry = {
      kind: 'configuration',
      index: 2,
      term: 2,
      timeMs: 0,
      configuration: other,
    }
    receive(raft, 'c', append({ entries: [entry] }))
    expect(raft.configuration).to.deep.equal(other)
    receive(raft, 'b', append({ term: 3, entries: [empty(2, 3)] }))
    expect(raft.configuration).to.deep.equal(configuration)
  })
})
