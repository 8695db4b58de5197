import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { lockDirectory } from '../../../src/store/directory-lock.ts'

const module = resolve(import.meta.dirname, '../../../src/store/directory-lock.ts')

describe('a directory lock', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ts-overlay-lock-'))
  })

  afterEach(() => rm(folder, { recursive: true }))

  const refusal = (): Promise<string> =>
    lockDirectory(folder).then(
      () => 'none',
      (error: Error) => error.message,
    )

  it('keeps others out until it is given back', async () => {
    const release = await lockDirectory(folder)
    expect(await refusal()).to.match(/in use by another process/)
    await release()
    await (
      await lockDirectory(folder)
    )()
  })

  it('of a process that was killed is taken over', async () => {
    const program = `const taken = await (await import(${JSON.stringify(module)})).lockDirectory(${JSON.stringify(folder)})
      setInterval(() => taken, 1000)
      console.log('here')`
    const args = ['--conditions=source', '--input-type=module', '-e', program]
    const other = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(other.stdout, 'data')
    expect(await refusal()).to.match(/in use by another process/)
    other.kill('SIGKILL')
    await once(other, 'exit')
    expect(await readdir(folder)).to.have.length(1)
    await (
      await lockDirectory(folder)
    )()
    expect(await readdir(folder)).to.deep.equal([])
  })

  it('has one holder, of however many that come at the same time and find a dead one', async () => {
    for (let round = 0; round < 10; round++) {
      const dead = createServer().listen(join(folder, 'dead'))
      await once(dead, 'listening')
      await rename(join(folder, 'dead'), join(folder, `lock-${round}`))
      dead.close()
      await once(dead, 'close')
      const all = await Promise.allSettled([1, 2, 3].map(() => lockDirectory(folder)))
      const held = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      expect(held, `round ${round}`).to.have.length(1)
      await held[0]!()
    }
  })
})
