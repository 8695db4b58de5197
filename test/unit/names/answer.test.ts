import { expect } from 'chai'
import { type Answer, type Packet, type RecordType, decode, encode } from 'dns-packet'
import fc from 'fast-check'
import { seededRandom } from '../../../src/base/random.ts'
import { answerQuery } from '../../../src/names/answer.ts'
import { maxQueryBytes, readQuery, reversedIp } from '../../../src/names/dns-message.ts'
import { NameTable, type TableChange } from '../../../src/names/name-table.ts'
import { type Ip, ipFromInteger, ipToBytes } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'

const vni = 1 as Vni

function tableOf(ips: readonly string[], names: readonly string[] = ['web']): NameTable {
  const table = new NameTable()
  const changes: TableChange[] = [
    { kind: 'network', vni, value: 'net' },
    { kind: 'sandbox', sandbox: 's', value: [vni] },
    { kind: 'names', key: 'k', value: names },
    { kind: 'addresses', key: 'k', value: { vni, ips: ips as Ip[], isRemote: true } },
  ]
  table.apply(changes)
  return table
}

interface Ask {
  readonly transport?: 'udp' | 'tcp'
  readonly seed?: number
  readonly packet?: Partial<Packet>
}

function ask(table: NameTable, name: string, type: string, how: Ask = {}): Packet | null {
  const question = { name, type: type as RecordType }
  const flags = 0x100
  const query = encode({ type: 'query', id: 7, flags, questions: [question], ...how.packet })
  const from = { sandbox: 's', transport: how.transport ?? 'udp' }
  const answer = answerQuery(table, seededRandom(how.seed ?? 1), from, query)
  return answer === null ? null : decode(Buffer.from(answer))
}

const edns = (udpPayloadSize: number): Answer[] => [
  {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  },
]

function dataOf(packet: Packet | null): unknown[] | undefined {
  return packet?.answers?.map((answer) => ('data' in answer ? answer.data : null))
}

describe('the answer to a DNS query', () => {
  it('has the addresses of the family asked for, for five seconds', () => {
    const table = tableOf(['10.0.0.1', 'fd00::1'])
    const answer = ask(table, 'WEB.net', 'A')!
    expect(answer).to.include({ id: 7, type: 'response', rcode: 'NOERROR' })
    expect(answer).to.deep.include({ flag_rd: true, flag_ra: true, flag_aa: false, flag_tc: false })
    expect(answer.questions).to.deep.equal([{ name: 'WEB.net', type: 'A', class: 'IN' }])
    expect(answer.answers).to.deep.include({
      name: 'WEB.net',
      type: 'A',
      class: 'IN',
      flush: false,
      ttl: 5,
      data: '10.0.0.1',
    })
    expect(dataOf(ask(table, 'web', 'AAAA'))).to.deep.equal(['fd00::1'])
  })

  it('is empty for every other type of a name that is ours', () => {
    const table = tableOf(['10.0.0.1'])
    for (const type of ['AAAA', 'MX', 'TXT', 'SRV', 'UNKNOWN_65', 'ANY']) {
      const answer = ask(table, 'web', type)!
      expect(answer, type).to.include({ rcode: 'NOERROR' })
      expect(answer.answers, type).to.deep.equal([])
    }
  })

  it("is the engine's for what is not ours, whatever is asked", () => {
    const table = tableOf(['10.0.0.1'])
    for (const [name, type] of [
      ['other', 'A'],
      ['example.com', 'AAAA'],
      ['.', 'NS'],
      ['2.0.0.10.in-addr.arpa', 'PTR'],
      ['web', 'PTR'],
    ] as const)
      expect(ask(table, name, type), `${name} ${type}`).to.equal(null)
  })

  it('has the name of an address of either family', () => {
    const table = tableOf(['10.0.0.1', 'fd00::1'], ['Web', 'alias'])
    expect(dataOf(ask(table, '1.0.0.10.in-addr.arpa', 'PTR'))).to.deep.equal(['Web.net'])
    const nibbles = '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.D.F.ip6.arpa'
    expect(dataOf(ask(table, nibbles, 'PTR'))).to.deep.equal(['Web.net'])
  })

  it('has all addresses of a name, in an order that changes', () => {
    const ips = Array.from({ length: 8 }, (_, i) => `10.0.0.${i}`)
    const orders = Array.from({ length: 20 }, (_, seed) =>
      dataOf(ask(tableOf(ips), 'web', 'A', { seed })),
    )
    for (const order of orders) expect(order).to.have.members(ips)
    expect(new Set(orders.map(String)).size).to.be.greaterThan(10)
    expect(new Set(orders.map((order) => order?.[0])).size).to.be.greaterThan(3)
  })

  it('has as many addresses as the client takes', () => {
    const table = tableOf(Array.from({ length: 200 }, (_, i) => `10.0.0.${i}`))
    const counts = [
      ask(table, 'web', 'A'),
      ask(table, 'web', 'A', { packet: { additionals: edns(1232) } }),
      ask(table, 'web', 'A', { transport: 'tcp' }),
    ].map((answer) => dataOf(answer)!.length)
    expect(counts).to.deep.equal([25, 63, 200])
    const larger = ask(table, 'web', 'A', { packet: { additionals: edns(1232) } })!
    expect(larger.additionals?.map(({ type }) => type)).to.deep.equal(['OPT'])
  })

  it('is none of ours for what is not one plain question', () => {
    const question = { name: 'web', type: 'A' } as const
    const odd: Partial<Packet>[] = [
      { type: 'response' },
      { questions: [] },
      { questions: [question, question] },
      { questions: [{ ...question, class: 'CH' }] },
      { answers: [{ type: 'A', name: 'web', data: '10.0.0.1' }] },
    ]
    for (const packet of odd)
      expect(ask(tableOf(['10.0.0.1']), 'web', 'A', { packet }), JSON.stringify(packet)).to.equal(
        null,
      )
  })

  it('never throws, and never takes a message for a query that cannot be decoded', () => {
    const good = encode({ type: 'query', id: 1, questions: [{ name: 'web', type: 'A' }] })
    const table = tableOf(['10.0.0.1'])
    const from = { sandbox: 's', transport: 'udp' } as const
    const damaged = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
      const copy = Buffer.from(good)
      copy[at] = value
      return copy
    })
    const header = Buffer.from('000701000001000000000000', 'hex')
    const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([header, bytes]))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), body, damaged), (bytes) => {
        const answer = answerQuery(table, seededRandom(1), from, bytes)
        if (answer !== null) expect(decode(Buffer.from(answer)).type).to.equal('response')
      }),
    )
    expect(readQuery(Buffer.concat([good, Buffer.alloc(maxQueryBytes)]), 'tcp')).to.equal(null)
  })
})

describe('a reversed address', () => {
  it('is read back for every address', () => {
    const v6 = fc.bigInt(0n, (1n << 128n) - 1n).map((value) => ipFromInteger(value, 128))
    fc.assert(
      fc.property(v6, (ip) => {
        const hex = Buffer.from(ipToBytes(ip)).toString('hex')
        const name = `${hex.split('').toReversed().join('.')}.ip6.arpa`
        expect(reversedIp(name)).to.equal(ip)
      }),
    )
    for (const name of ['1.2.3.in-addr.arpa', '256.0.0.1.in-addr.arpa', '01.0.0.10.in-addr.arpa'])
      expect(reversedIp(name), name).to.equal(null)
  })
})
