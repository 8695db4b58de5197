import { expect } from 'chai'
import { decode } from 'dns-packet'
import type { AnswerQuery, SandboxResolvers } from '../../src/dataplane/resolvers.ts'
import { answerOf, queryOf, textOf } from '../netns/sandbox-dns.ts'

/** Resolvers on a host of their own, where an engine answers "local" and "there" too. */
export interface ResolversBench {
  readonly resolvers: SandboxResolvers
  addSandbox(name: string): Promise<void>
  removeSandbox(name: string): Promise<void>
  /** What a program in a container is answered. */
  ask(sandbox: string, name: string): Promise<string>
  close(): Promise<void>
}

const path = (name: string): string => `/var/run/docker/netns/${name}`

/** What the engine answers. */
export const engineAnswers = { local: '10.0.0.1', there: '192.0.2.99' }
/** What our side answers: "there", in a sandbox that is not called mute. */
export const ourAnswer: AnswerQuery = ({ sandbox }, bytes) => {
  const query = Buffer.from(bytes)
  const isOurs = decode(query).questions?.[0]?.name === 'there' && sandbox !== path('mute')
  return isOurs ? answerOf(query, '10.0.0.9') : null
}

/** What every implementation does alike. `settled` waits until something is so. */
export function resolversContract(
  open: () => Promise<ResolversBench>,
  settled: (condition: () => Promise<boolean>) => Promise<void>,
): void {
  let bench: ResolversBench

  beforeEach(async () => {
    bench = await open()
    expect(await bench.resolvers.start()).to.equal(null)
  })
  afterEach(async () => {
    await bench.resolvers.close()
    await bench.close()
  })

  it('answers what is ours, in sandboxes that are attached', async () => {
    const { resolvers } = bench
    for (const name of ['one', 'two', 'mute']) await bench.addSandbox(name)
    expect(await resolvers.attach(path('one'))).to.equal('attached')
    expect(await resolvers.attach(path('mute'))).to.equal('attached')
    expect(await bench.ask('one', 'there')).to.equal('10.0.0.9')
    expect(await bench.ask('one', 'local')).to.equal('10.0.0.1')
    expect(await bench.ask('two', 'there')).to.equal('192.0.2.99')
    expect(await bench.ask('mute', 'there')).to.equal('192.0.2.99')
    expect(await resolvers.attached()).to.have.members([path('one'), path('mute')])
  })

  it('attaches and detaches any number of times', async () => {
    const { resolvers } = bench
    await bench.addSandbox('one')
    for (let round = 0; round < 2; round++) {
      expect(await resolvers.attach(path('one'))).to.equal('attached')
      expect(await resolvers.attach(path('one'))).to.equal('attached')
      expect(await bench.ask('one', 'there')).to.equal('10.0.0.9')
      await resolvers.detach(path('one'))
      await resolvers.detach(path('one'))
      expect(await bench.ask('one', 'there')).to.equal('192.0.2.99')
      expect(await resolvers.attached()).to.deep.equal([])
    }
  })

  it('waits for a namespace that is not there yet, unless it is detached', async () => {
    const { resolvers } = bench
    expect(await resolvers.attach(path('one'))).to.equal('awaited')
    expect(await resolvers.attach(path('two'))).to.equal('awaited')
    await resolvers.detach(path('two'))
    await bench.addSandbox('two')
    await bench.addSandbox('one')
    await settled(async () => (await resolvers.attached()).length === 1)
    expect(await resolvers.attached()).to.deep.equal([path('one')])
    expect(await bench.ask('one', 'there')).to.equal('10.0.0.9')
    expect(await bench.ask('two', 'there')).to.equal('192.0.2.99')
  })

  it('notices that a namespace is gone', async () => {
    const { resolvers } = bench
    await bench.addSandbox('one')
    await resolvers.attach(path('one'))
    await bench.removeSandbox('one')
    await settled(async () => (await resolvers.attached()).length === 0)
    expect(await resolvers.ask(path('one'), queryOf('local'))).to.equal(null)
  })

  it("asks the engine's resolver, past our own answers", async () => {
    const { resolvers } = bench
    await bench.addSandbox('one')
    expect(await resolvers.ask(path('one'), queryOf('there'))).to.equal(null)
    await resolvers.attach(path('one'))
    const answer = await resolvers.ask(path('one'), queryOf('there', 'A', 77))
    const packet = decode(Buffer.from(answer!))
    expect([packet.id, textOf(packet)]).to.deep.equal([77, '192.0.2.99'])
  })

  it('has nothing to repair when nobody changed anything, and leaves nothing', async () => {
    const { resolvers } = bench
    await bench.addSandbox('one')
    await resolvers.attach(path('one'))
    expect(await resolvers.audit()).to.deep.equal([])
    await resolvers.close()
    expect(await bench.ask('one', 'there')).to.equal('192.0.2.99')
  })
}
