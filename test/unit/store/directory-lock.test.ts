import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { lockDirectory } from '../../../src/store/directory-lock.ts'

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
    const path = join(folder, 'lock')
    const program = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('here'))`
    const other = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(other.stdout, 'data')
    expect(await refusal()).to.match(/in use by another process/)
    other.kill('SIGKILL')
    await once(other, 'exit')
    expect(existsSync(path)).to.equal(true)
    await (
      await lockDirectory(folder)
    )()
  })
})
