import { expect } from 'chai'
import { execa } from 'execa'
import { completionScripts } from '../../src/completion.ts'

/** Answers as the command line does, with the words that it was given. */
const command = `ts-overlay() { printf '%s\\n' "$2-$3" $'host3\\tis alive' ':4'; }`

describe('the completion script of bash', () => {
  it('offers what the command line answers, without descriptions and directive', async () => {
    const complete = `COMP_WORDS=(ts-overlay ping ho); COMP_CWORD=2; _ts_overlay`
    const show = `printf '%s\\n' "\${COMPREPLY[@]}"; complete -p ts-overlay`
    const script = [command, completionScripts['bash'], complete, show].join('\n')
    const { stdout } = await execa('bash', ['--norc', '-c', script])
    expect(stdout.split('\n')).to.deep.equal([
      'ping-ho',
      'host3',
      'complete -F _ts_overlay ts-overlay',
    ])
  })
})
