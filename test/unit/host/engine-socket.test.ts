import { expect } from 'chai'
import { isReplaced } from '../../../src/host/engine-socket.ts'

const heading = 'Num       RefCount Protocol Flags    Type St Inode Path\n'
const listening = '00000000de9e9b85: 00000002 00000000 00010000 0001 01 37572 /run/docker.sock\n'
const connected = '00000000de9e9b85: 00000003 00000000 00000000 0001 03 37573 /run/docker.sock\n'
const other = '00000000de9e9b85: 00000002 00000000 00010000 0001 01 37574 /run/other.sock\n'

describe("the socket of the engine's API", () => {
  it('is replaced when it was removed and another one listens', () => {
    expect(isReplaced(0, heading + connected + listening)).to.equal(true)
    expect(isReplaced(0, heading + listening.replace('/run', '/var/run'))).to.equal(true)
  })

  it('is not replaced while it is there, nor before an engine listens again', () => {
    expect(isReplaced(1, heading + listening)).to.equal(false)
    expect(isReplaced(0, heading + connected + other)).to.equal(false)
    expect(isReplaced(0, '')).to.equal(false)
  })
})
