import { closeSync, openSync } from 'node:fs'
import { expect } from 'chai'
import { OverlayError } from '../../src/base/errors.ts'
import { deleteLink, getLinks } from '../../src/dataplane/linux/netlink/link-requests.ts'
import { inNetns } from '../../src/dataplane/linux/netns/netns.ts'
import { NetlinkSocket } from '../../src/dataplane/linux/netlink/netlink-socket.ts'
import { findLink, listLinks } from '../../src/dataplane/linux/netlink/link.ts'
import { watchCalls } from './kernel-calls.ts'
import { NetnsLab } from './netns-lab.ts'

const obstacle = NetnsLab.obstacle()

describe('a netlink socket', function () {
  let lab: NetnsLab
  let netns: string
  let unwatch: (() => void) | null = null
  const sockets: NetlinkSocket[] = []

  before(function () {
    if (obstacle === null) return
    process.stdout.write(`netlink sockets skipped: ${obstacle}\n`)
    this.skip()
  })
  beforeEach(async () => {
    lab = await NetnsLab.create()
    netns = await lab.namespace('n')
  })
  afterEach(() => {
    unwatch?.()
    unwatch = null
    for (const socket of sockets.splice(0)) socket.close()
    lab.close()
  })

  function open(bufferBytes?: number): NetlinkSocket {
    const fd = openSync(netns, 'r')
    try {
      const socket = inNetns(fd, () => new NetlinkSocket(bufferBytes))
      sockets.push(socket)
      return socket
    } finally {
      closeSync(fd)
    }
  }

  it('notices when answers are lost for want of room, and goes on', () => {
    const socket = open(4096)
    const bad = Array.from({ length: 500 }, () => deleteLink('nobody'))
    expect(() => socket.send(bad)).to.throw(OverlayError, 'ENOBUFS')
    expect(findLink(socket, 'lo')).to.include({ name: 'lo', index: 1 })
  })

  const asked: Record<string, (socket: NetlinkSocket) => unknown> = {
    send: (socket: NetlinkSocket) => socket.send([deleteLink('nobody')]),
    get: (socket: NetlinkSocket) => socket.get(getLinks('lo')),
    dump: (socket: NetlinkSocket) => socket.dump(getLinks()),
    scan: (socket: NetlinkSocket) => socket.scan(getLinks(), () => {}),
  }
  for (const verb of ['send', 'get', 'dump', 'scan'] as const)
    for (const code of ['EBUSY', 'ENOMEM', 'ENOBUFS'] as const)
      it(`takes no late answer for the answer to what it asks next: ${code} in ${verb}`, async () => {
        const socket = open()
        let isFirst = true
        unwatch = watchCalls('answers', () => {
          if (!isFirst) return null
          isFirst = false
          return code
        })
        const error: unknown = await Promise.resolve(socket)
          .then(asked[verb])
          .catch((reason: unknown) => reason)
        expect(error).to.be.instanceOf(OverlayError).and.have.property('code', 'KERNEL')
        expect(String(error)).to.include('were lost').and.include(code)
        expect(findLink(socket, 'nobody')).to.equal(null)
        expect(findLink(socket, 'lo')).to.include({ name: 'lo', index: 1 })
        expect(listLinks(socket).map(({ name }) => name)).to.deep.equal(['lo'])
        expect([...socket.send([deleteLink('nobody')]).values()]).to.have.length(1)
      })
})
