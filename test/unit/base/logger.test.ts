import { expect } from 'chai'
import { createLogger } from '../../../src/base/logger.ts'

describe('base/logger', () => {
  it('says how much each line matters, and keeps the last warnings', () => {
    const lines: [string, string][] = []
    const { logger, problems } = createLogger((line, level) => lines.push([level, line]))
    const room = logger.child('driver')
    room.info('ready', { port: 1 })
    for (let i = 0; i < 59; i++) room.warn(`trouble ${i}`)
    room.warn('trouble 59', { network: 'n1' })
    expect(lines[0]).to.deep.equal(['info', 'info driver: ready {"port":1}'])
    expect(lines[1]).to.deep.equal(['warn', 'warn driver: trouble 0'])
    expect(problems).to.have.length(50)
    expect(problems.at(-1)).to.deep.include({
      room: 'driver',
      message: 'trouble 59',
      fields: { network: 'n1' },
    })
    expect(problems.at(-2)).to.have.all.keys('at', 'room', 'message')
  })
})
