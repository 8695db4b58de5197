/** The lab's own promises, on which the other tests rest. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect } from 'chai'
import type { Host } from '../support/lab/host.ts'
import { Lab } from '../support/lab/lab.ts'
import { until } from '../support/lab/processes.ts'
import { sweepLabs } from '../support/lab/register.ts'

async function pings(from: Host, to: Host, count: number): Promise<number> {
  const command = ['ping', '-c', String(count), '-i', '0.01', '-W', '1', to.address]
  const { stdout } = await from.exec(command, { reject: false })
  return Number(/(\d+) received/.exec(stdout)?.[1])
}

/** Processes of this machine that have the text in their command line or their mounts. */
async function processesWith(text: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const files = ['cmdline', 'mountinfo'].map((file) => path.join('/proc', pid, file))
    const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))
    if (Number(pid) !== process.pid && texts.some((content) => content.includes(text)))
      found.push(pid)
  }
  return found
}

describe('the lab', () => {
  it('pulls cables, loses packets and parts hosts from each other', async () => {
    await using lab = await Lab.create({ hosts: 3, image: false })
    const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)]
    expect(await pings(one, two, 3)).to.equal(3)
    await two.cutCable()
    expect(await pings(one, two, 1)).to.equal(0)
    await two.mendCable()
    await until(async () => (await pings(one, two, 1)) === 1, 'the mended cable')
    await lab.underlay.partition([1], [2, 3])
    expect(await pings(one, two, 1)).to.equal(0)
    expect(await pings(three, two, 3)).to.equal(3)
    await lab.underlay.partition()
    expect(await pings(one, two, 3)).to.equal(3)
    await two.setLoss(50)
    // Both ways are lossy, so about a quarter comes back; 10 to 90 of 200 is beyond any doubt.
    expect(await pings(one, two, 200)).to.be.within(10, 90)
    await two.setLoss(0)
    expect(await pings(one, two, 50)).to.equal(50)
  })

  it('leaves nothing after destroy', async () => {
    const lab = await Lab.create({ hosts: 1, image: false })
    expect(await processesWith(lab.dir)).not.to.deep.equal([])
    await lab.destroy()
    expect(await processesWith(lab.dir)).to.deep.equal([])
    expect(existsSync(lab.dir)).to.equal(false)
  })

  it('ends with the process that made it, even if that is killed', async () => {
    const file = path.resolve(import.meta.dirname, '../support/lab/lab.ts')
    const code = `const { Lab } = await import('${file}')
      const lab = await Lab.create({ hosts: 1, image: false }); console.log(lab.dir); setInterval(() => {}, 1e6)`
    const child = spawn(
      process.execPath,
      ['--conditions=source', '--input-type=module', '-e', code],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const dir = String(line).trim()
    expect(await processesWith(dir)).not.to.deep.equal([])
    child.kill('SIGKILL')
    await until(async () => (await processesWith(dir)).length === 0, 'end of its processes')
    // Files are left; the next lab, or this, takes them away.
    expect(await sweepLabs({ kept: false })).to.include(dir)
    expect(existsSync(dir)).to.equal(false)
  })

  it('reboots a host with its disk and without its /run', async () => {
    await using lab = await Lab.create({ hosts: 2, image: false })
    const host = lab.host(1)
    await host.exec(['sh', '-c', 'touch /run/gone /var/lib/docker/kept /etc/kept'])
    await host.reboot()
    const { stdout } = await host.exec(
      ['sh', '-c', 'ls /run/gone /var/lib/docker/kept /etc/kept 2>&1'],
      { reject: false },
    )
    expect(stdout).to.contain("cannot access '/run/gone'").and.contain('/var/lib/docker/kept')
    expect(await pings(lab.host(2), host, 3)).to.equal(3)
  })
})
