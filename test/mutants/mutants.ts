/** One way to break it: a text of one file in `src/consensus`, and what stands there instead. */
export interface Mutant {
  readonly what: string
  readonly file: string
  readonly from: string
  readonly to: string
}

function inFile(file: string, changes: readonly (readonly [string, string, string])[]): Mutant[] {
  return changes.map(([what, from, to]) => ({ file, what, from, to }))
}

export const mutants: readonly Mutant[] = [
  ...inFile('client.ts', [
    [
      'a client waits for a silent leader',
      'if (silent.has(target)) return null\n    const reply = await this.#wait(search, patienceMs)',
      'const reply = await this.#wait(search, attemptMs)',
    ],
  ]),
  ...inFile('server/server.ts', [
    [
      'a server that was started votes at once',
      'const isAbstaining = clock.now() - this.#startedMs < abstainMs',
      'const isAbstaining = false',
    ],
  ]),
  ...inFile('server/ticks.ts', [
    ['a busy server ticks late', 'Math.min(due, maxAtOnce)', '1'],
    ['a server that stood still ticks for all of that time', 'Math.min(due, maxAtOnce)', 'due'],
  ]),
  ...inFile('voters/voters.ts', [
    [
      'a voter that was heard long ago counts as answering',
      'now - heardMs <= answeringMs',
      'now - heardMs < quietMs',
    ],
  ]),
  ...inFile('core/raft.ts', [
    [
      'a voter votes twice in a term',
      '(this.#votedFor === null && this.#leaderId === null)',
      'this.#leaderId === null',
    ],
    ['a vote is not written', 'if (this.#votedFor !== from) this.#isHardStateDirty = true', ''],
    [
      'a vote goes to a log that is behind',
      'isFree && this.log.isCoveredBy(message)',
      'isFree && message.knows > 0',
    ],
    ["a new term keeps the old one's vote", 'this.#votedFor = null\n', ''],
    [
      'a new term is not written',
      '      this.#votedFor = null\n      this.#isHardStateDirty = true',
      '      this.#votedFor = null',
    ],
    [
      'a candidate does not write its term',
      '      this.#votedFor = this.id\n      this.#isHardStateDirty = true',
      '      this.#votedFor = this.id',
    ],
    ['a refused vote counts', 'this.#votes.set(from, granted)', 'this.#votes.set(from, true)'],
    [
      'a vote of another term counts',
      'if (granted && term !== (isPre ? this.#term + 1 : this.#term)) return',
      '',
    ],
    [
      'messages of an old term count',
      'if (term < this.#term) return this.#onOldTerm(from, message)',
      '',
    ],
    [
      'a pre-vote raises the term',
      'if (term > this.#term && !isPre) this',
      'if (term > this.#term) this',
    ],
    [
      'an older version may lead',
      'configuration.voters.includes(this.id) && version <= this.knows',
      'configuration.voters.includes(this.id)',
    ],
    [
      'a leader without a majority stays',
      'if (!this.#leader.checkQuorum()) this',
      'if (false) this',
    ],
  ]),
  ...inFile('core/leader.ts', [
    [
      'entries of earlier terms are committed alone',
      'if (index > commit && log.termAt(index) === term) this',
      'if (index > commit) this',
    ],
    [
      'a read is answered without a round',
      '(this.#progress.get(id)?.round ?? 0) >= round',
      'round > 0',
    ],
    [
      'a read before an entry of the term',
      'if (!this.isEstablished) return false\n    this.#reads',
      'this.#reads',
    ],
    ['a round that was not asked counts', 'round: ++this.#round }', 'round: this.#round }'],
    [
      'a change before an entry of the term is committed',
      'if (!this.isEstablished || since > commit ||',
      'if (since > commit ||',
    ],
    ['a change before the last one is committed', '|| since > commit ||', '||'],
    [
      'learners count for commitment',
      'const index = quorumValue(log.inForce().configuration, (id) =>',
      'const { voters, learners } = log.inForce().configuration\n    const index = quorumValue({ voters: [...voters, ...learners].slice(-1), learners }, (id) =>',
    ],
    [
      'the version is raised before all know it',
      'const next = Math.min(...known)',
      'const next = Math.max(...known)',
    ],
    [
      'new entries go while leadership is handed over to one that lacks them',
      'this.#progress.get(to)!.match < log.lastIndex',
      'this.#progress.get(to)!.match < 0',
    ],
  ]),
  ...inFile('core/follower.ts', [
    [
      'entries are taken without the one before',
      'if (log.termAt(prevIndex) !== prevTerm) return this.#disagree(from, message)',
      'if (log.termAt(prevIndex) === null) return this.#disagree(from, message)',
    ],
    [
      'commits what the leader did not send',
      'Math.min(message.commit, last)',
      'Math.min(message.commit, log.lastIndex)',
    ],
    [
      'acknowledges more than it compared',
      'this.#agree(from, round, last)',
      'this.#agree(from, round, log.lastIndex)',
    ],
    ['keeps entries that contradict', 'log.termAt(index) !== term)', 'log.termAt(index) === null)'],
    [
      'installs a snapshot that is older',
      'if (index <= commit) return this.#agree(from, round, commit)\n    if (log.termAt(index)',
      'if (log.termAt(index)',
    ],
    [
      'installs a snapshot before all of it is there',
      'if (arriving.offset < total)',
      'if (arriving.offset === 0 && total > 0)',
    ],
  ]),
  ...inFile('core/log.ts', [
    [
      'a longer log of an older term is better',
      'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
      'return lastIndex >= this.lastIndex',
    ],
    [
      'entries that replaced others are not written',
      'this.#unstable = Math.min(this.#unstable, first.index)',
      '',
    ],
    ['a removed configuration stays in force', 'this.#latest = null\n    for', 'void 0\n    for'],
    [
      'a snapshot has the last configuration, not that of its index',
      'if (entry.index > index) break',
      '',
    ],
  ]),
  ...inFile('core/configuration.ts', [
    [
      'a minority is enough',
      'Math.floor(voters.length / 2) + 1',
      'Math.max(1, Math.floor(voters.length / 2))',
    ],
    ['two voters change at a time', 'return added + removed <= 1', 'return true'],
  ]),
  ...inFile('core/progress.ts', [
    [
      'a follower that is behind never catches up',
      'this.next = Math.max(this.match + 1, Math.min(rejected, hint + 1))',
      'this.next = rejected + 1',
    ],
    [
      'messages under way are never freed',
      'while (this.#inflight[0] !== undefined && this.#inflight[0] <= match) this.#inflight.shift()',
      '',
    ],
  ]),
  ...inFile('server/server.ts', [
    [
      'messages leave before the disk has what they follow from',
      'await this.#write(disk.changesOf(ready))',
      'void this.#write(disk.changesOf(ready))',
    ],
    ['a write that failed counts as done', 'if (failures === 0) logger', 'return logger'],
    [
      'a snapshot from the leader is not applied',
      '      state.restore(data)\n      this.#applied',
      '      this.#applied',
    ],
  ]),
  ...inFile('server/replicated-state.ts', [
    [
      'a command that comes twice is applied twice',
      'if (known !== undefined) return',
      'if (known === null) return',
    ],
    [
      'a command is applied after its client has the result of a later one',
      "if (sequence < session.acknowledged) return { kind: 'expired' }",
      '',
    ],
    [
      'a session that was dropped begins again',
      'if (known === undefined && acknowledged > 1) return null',
      '',
    ],
  ]),
  ...inFile('voters/autopilot.ts', [
    [
      'a change may leave no majority that answers',
      'return answering.length > voters.length / 2',
      'return answering.length > 0',
    ],
    [
      'a dead voter goes without a spare',
      '(ready !== undefined || voters.length % 2 === 0)',
      'voters.length > 0',
    ],
    ['a learner votes before it has the log', 'health(id).isReady)', '!isDead(id))'],
  ]),
]
