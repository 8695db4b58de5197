import { expect } from 'chai'
import fc from 'fast-check'
import { seededRandom } from '../../../src/base/random.ts'
import { memberName } from '../../../src/host/member-name.ts'
import { parseSettings } from '../../../src/settings/settings.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { savedValue } from '../../../src/wiring/ports/saved-value.ts'

const nothingSaved = () => savedValue<string>(new MemoryStore(), 'cluster', 'name')

describe("a host's name in the cluster", () => {
  it('is the setting, else the saved one, else the host name and a suffix, which is saved', async () => {
    const saved = nothingSaved()
    const name = () => memberName(saved, seededRandom(1), null, 'rack4.example.org')
    const first = await name()
    expect(first).to.match(/^rack4-[0-9a-f]{8}$/)
    expect(await name()).to.equal(first)
    expect(await memberName(saved, seededRandom(1), 'chosen', 'rack4')).to.equal('chosen')
    expect(await name()).to.equal('chosen')
  })

  it('is one that MEMBER_NAME could be, whatever the host is called', async () => {
    const hosts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constant(''),
      fc.constant('-\u001b[2J'),
    )
    await fc.assert(
      fc.asyncProperty(hosts, async (host) => {
        const name = await memberName(nothingSaved(), seededRandom(1), null, host)
        expect(parseSettings({ MEMBER_NAME: name }).memberName).to.equal(name)
      }),
    )
  })

  it('is refused with control characters, which the refusal shows escaped', () => {
    for (const text of ['a\u001b[2J', 'a\nb', 'a\u009b', 'ä', '-a', 'a b', 'a'.repeat(64)])
      expect(() => parseSettings({ MEMBER_NAME: text }), text).to.throw(
        /^MEMBER_NAME=\P{Cc}* is not a name/u,
      )
  })
})
