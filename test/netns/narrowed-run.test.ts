/** What is left of the engine's /run when the plugin starts, with mounts as an engine makes them. */
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { NetnsLab } from './netns-lab.ts'

const mounts = resolve(import.meta.dirname, '../../src/host/rights/mounts.ts')

describe('the mount of /run', () => {
  it('keeps the namespaces that are there, and gets those that come', async function () {
    if (NetnsLab.obstacle() !== null) this.skip()
    const lab = await NetnsLab.create()
    const [run, mounted, kept] = ['run', 'mounted', 'kept'].map((name) => join(lab.directory, name))
    const pin = (name: string): string =>
      `touch ${run}/docker/netns/${name}; unshare --net sh -c 'mount --bind /proc/self/ns/net ${run}/docker/netns/${name}'`
    const call = `import('${mounts}').then((m) => m.narrowRun({ run: '${mounted}', kept: '${kept}', engineSocket: '' }))`
    const script = [
      `mkdir ${run} ${mounted} ${kept}`,
      `mount -t tmpfs tmpfs ${run}`,
      `mount --make-shared ${run}`,
      `mkdir -p ${run}/docker/netns`,
      pin('old'),
      // The engine's way with "rslave", in a root file system that is shared.
      `mount --rbind ${run} ${mounted}`,
      `mount --make-rslave ${mounted}`,
      `mount --make-rshared ${mounted}`,
      `${process.execPath} --conditions=source -e "${call}"`,
      pin('new'),
      `stat --file-system --format %T ${kept}/netns/old ${kept}/netns/new`,
      `ls ${mounted}`,
    ]
    try {
      const args = ['--mount', '--propagation', 'private', 'sh', '-euc', script.join('\n')]
      expect((await execa('unshare', args)).stdout).to.equal('nsfs\nnsfs')
    } finally {
      lab.close()
    }
  })
})
