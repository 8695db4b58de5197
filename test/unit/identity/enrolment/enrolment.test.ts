import { expect } from 'chai'
import { seededRandom } from 'memberlist-js'
import { readCertificate, readX509 } from '../../../../src/identity/certificates/certificate.ts'
import { certificateFault } from '../../../../src/identity/certificates/rules.ts'
import { type Newcomer, serveEnrolment } from '../../../../src/identity/enrolment/enrolment.ts'
import {
  type Answer,
  type Question,
  MessageReader,
  answer,
  introduction,
  writeMessage,
} from '../../../../src/identity/enrolment/messages.ts'
import {
  type JoinToken,
  newJoinToken,
  parseJoinToken,
} from '../../../../src/identity/enrolment/join-token.ts'
import { generateKeyPair, keyDigest } from '../../../../src/identity/certificates/keys.ts'
import { enrolmentProtocol, maxHandshakeBytes } from '../../../../src/identity/streams/protocols.ts'
import { tlsClient, tlsContext, tlsServer } from '../../../../src/identity/streams/tls-stream.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { startMs } from '../people.ts'
import { type SealedMember, TestCluster, enrolAt } from '../test-cluster.ts'
import { VirtualWorld } from '../virtual-world.ts'

const hourMs = 3_600_000

class Scenario extends VirtualWorld {
  /** A cluster of one member that enrols. */
  cluster(host: number, options: ConstructorParameters<typeof TestCluster>[1] = {}) {
    const cluster = new TestCluster(this.clock(), options)
    const member = cluster.member(`host${host}`, this.at(host))
    member.transport.onStream(() => {})
    return { cluster, member }
  }

  /** The grant, or why there is none. */
  async join(
    to: SealedMember,
    newcomer: Partial<Newcomer> & { token: JoinToken | null },
    clock = this.clock(),
  ) {
    const from = this.at(9, 1000 + this.network.traffic.streams)
    const asks = { name: 'host9', address: '10.0.0.9' as Ip, key: generateKeyPair(), ...newcomer }
    const enrolling = enrolAt(from, to.transport.advertise, asks, clock)
    return await this.during(enrolling.catch((error: Error) => error.message))
  }
}

describe('identity/enrolment', () => {
  it('gives a newcomer with the token a certificate, the keys and the voters', async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    const key = generateKeyPair()
    const grant = await scenario.join(member, { token: cluster.token, key })
    if (typeof grant === 'string') expect.fail(grant)
    const certificate = readCertificate(grant.certificate)!
    expect(certificate.identity).to.equal(keyDigest(key.publicKey))
    const check = { now: scenario.clock().wall(), isEvicted: () => false, name: 'host9' }
    const authority = readX509(cluster.authority.pem)!
    expect(certificateFault(certificate, { ...check, authority })).to.equal(null)
    expect(grant.voters).to.deep.equal(['192.0.2.1:7946'])
    expect(grant.keys[0]!.key).to.equal(Buffer.from(cluster.keys.keys[0]!.key).toString('base64'))
    expect(member.notes).to.deep.equal([])
  })

  it('takes a token that was chosen beforehand, known to both sides by proof alone', async () => {
    const scenario = new Scenario()
    const chosen = parseJoinToken('0123456789abcdef0123456789abcdef')
    if (!('value' in chosen)) expect.fail()
    const { member } = scenario.cluster(1, { token: chosen.value })
    expect(await scenario.join(member, { token: chosen.value })).to.have.property('certificate')
    const wrong = { ...chosen.value, secret: '0123456789abcdef0123456789abcdee' }
    expect(await scenario.join(member, { token: wrong })).to.match(/no such token/)
  })

  it('tells a wrong token, on both sides, and never sends or shows it', async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    const token = newJoinToken(cluster.token.authority!, seededRandom(9))
    const told = await scenario.join(member, { token })
    expect(told).to.match(
      /10\.0\.0\.1:7946 refuses this host: host9: the cluster has no such token/,
    )
    expect(member.notes.join()).to.match(/10\.0\.0\.9: refused to enrol: host9: .*no such token/)
    expect(JSON.stringify([told, member.notes])).to.not.include(token.secret)
  })

  it('tells a cluster of another authority before it asks anything', async () => {
    const scenario = new Scenario()
    const { member } = scenario.cluster(1)
    const { cluster: other } = scenario.cluster(2, { seed: 2 })
    const told = await scenario.join(member, { token: other.token })
    expect(told).to.match(
      /10\.0\.0\.1:7946 cannot be joined: it is of another cluster than the token/,
    )
    expect(member.notes.join()).to.not.include('refused to enrol')
  })

  it('ends with the uses and the time of a token', async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    cluster.issue({ token: cluster.token, notAfter: startMs + hourMs, usesLeft: 1 })
    const join = (host: number) =>
      scenario.join(member, {
        token: cluster.token,
        name: `h${host}`,
        address: `10.0.1.${host}` as Ip,
      })
    expect(await join(1)).to.have.property('certificate')
    expect(await join(2)).to.match(/the token was used up/)
    cluster.issue({ token: cluster.token, notAfter: startMs - 1, usesLeft: null })
    expect(await join(3)).to.match(/the token has expired/)
  })

  it("refuses a name or an address that another host has, and takes the same host's again", async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    const { token } = cluster
    expect(await scenario.join(member, { token, name: 'host1' })).to.match(
      /the member at 10\.0\.0\.1 is called host1, too/,
    )
    const address = '10.0.0.1' as Ip
    expect(await scenario.join(member, { token, address })).to.match(/member host1 has 10\.0\.0\.1/)
    const key = generateKeyPair()
    for (let i = 0; i < 2; i++)
      expect(await scenario.join(member, { token, key })).to.have.property('certificate')
  })

  it('gives a member that moved a certificate for its new address, and a copy of it none', async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    const key = generateKeyPair()
    const authority = cluster.authority.pem
    await scenario.join(member, { token: cluster.token, key })
    const elsewhere = { token: null, key, authority, address: '10.0.0.8' as Ip }
    cluster.answering.add(keyDigest(key.publicKey))
    expect(await scenario.join(member, elsewhere)).to.match(
      /host9: the host at 10\.0\.0\.9 has its name and key, and answers: its disk is a copy/,
    )
    cluster.answering.clear()
    expect(await scenario.join(member, elsewhere)).to.have.property('certificate')
  })

  it('renews a certificate without a token, for a member that was not evicted', async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    const key = generateKeyPair()
    const authority = cluster.authority.pem
    expect(await scenario.join(member, { token: null, key, authority })).to.match(
      /host9: it is no member: join it with a token/,
    )
    await scenario.join(member, { token: cluster.token, key })
    expect(await scenario.join(member, { token: null, key, authority })).to.have.property('keys')
    const renamed = { token: null, key, name: 'host8', authority }
    expect(await scenario.join(member, renamed)).to.have.property('keys')
    expect(await scenario.join(member, { ...renamed, name: 'host1' })).to.match(
      /the member at 10\.0\.0\.1 is called host1, too/,
    )
    cluster.evicted.add(keyDigest(key.publicKey))
    for (const token of [null, cluster.token])
      expect(await scenario.join(member, { token, key, authority })).to.match(
        /host9: it was evicted/,
      )
  })

  it('tells a skewed clock, whoever is wrong', async () => {
    const scenario = new Scenario()
    const { cluster, member } = scenario.cluster(1)
    const cases = [
      [-4 * hourMs, /certificate of host1 .* not yet valid: is this host's clock 3 h behind\?/],
      [4 * hourMs, /host9: its clock is 4 h ahead of the cluster's/],
    ] as const
    for (const [offset, message] of cases) {
      const { token } = cluster
      expect(await scenario.join(member, { token }, scenario.clock(offset))).to.match(message)
    }
  })

  it('is proved to no one in between, nor by one that does not know the token', async () => {
    const scenario = new Scenario()
    const chosen: JoinToken = { authority: null, secret: '0123456789abcdef0123456789abcdef' }
    const { cluster, member } = scenario.cluster(1, { token: chosen })
    // It takes questions as a cluster of its own, and returns the proof that came with them.
    const between = scenario.cluster(2, { seed: 2 })
    const asked: Question[] = []
    const transport = scenario.at(3)
    transport.onStream((raw) => {
      const answered = async (): Promise<void> => {
        const protocols = [enrolmentProtocol]
        const context = tlsContext(between.member.member)
        const tls = await tlsServer(raw, { context, protocols, maxBytes: maxHandshakeBytes })
        await serveEnrolment(tls, between.cluster.authority.pem, async (question) => {
          asked.push({
            request: question.request,
            signature: question.signature,
            proof: question.proof,
          })
          const grant = {
            certificate: between.member.member.pem,
            authority: between.cluster.authority.pem,
            currentEpoch: 1,
            keys: [],
            voters: [],
            evicted: [],
            wall: scenario.clock().wall(),
          }
          return { grant: JSON.stringify(grant), proof: question.proof } satisfies Answer
        })
      }
      void answered().catch(() => raw.destroy())
    })
    const fake = { ...member, transport: { advertise: transport.advertise } } as SealedMember
    expect(await scenario.join(fake, { token: chosen })).to.match(/does not know the token/)
    expect(asked.length).to.equal(1)
    expect(JSON.stringify(asked)).to.not.include(chosen.secret)
    // It asks the real one with what it was sent.
    const raw = scenario.at(4).dial(member.transport.advertise, {
      signal: new AbortController().signal,
    })
    const options = { context: tlsContext(), protocols: [enrolmentProtocol], maxBytes: 16_384 }
    const tls = await scenario.during(raw.then((stream) => tlsClient(stream, options)))
    const reader = new MessageReader(tls)
    await scenario.during(reader.read(introduction, 8192))
    await scenario.during(writeMessage(tls, asked[0]))
    expect(await scenario.during(reader.read(answer, 8192))).to.deep.equal({
      refusal: 'host9: its signature is wrong',
      why: 'other',
    })
    expect(cluster.members.map(({ name }) => name)).to.deep.equal(['host1'])
  })
})
