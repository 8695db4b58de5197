import { execaSync } from 'execa'
import { portNameOf } from '../../src/dataplane/linux/netlink/names.ts'
import { type Disturbance, overlayId, useFaultyHost } from './faulty-host.ts'

/* Each of the links of an overlay vanishes before each request to the kernel, one at a time. */

const names = { bridge: 'br0', 'VXLAN device': 'vxlan0', link: portNameOf(overlayId, 'e') }

describe('links that vanish between two calls', function () {
  this.timeout(120_000)
  const faulty = useFaultyHost('links that vanish')

  for (const victim of ['bridge', 'VXLAN device', 'link'] as const) {
    const vanishing: Disturbance = {
      layer: 'requests',
      happens: () => {
        const pin = faulty().host.pin(overlayId)
        execaSync('nsenter', [`--net=${pin}`, 'ip', 'link', 'del', names[victim]], {
          reject: false,
        })
        return null
      },
    }

    it(`a ${victim} is there again after the next try or audit`, async () => {
      const host = faulty()
      for (let nth = 1, isOver = false; !isOver; nth++) {
        const outcome = await host.disturbed(vanishing, nth, () => host.join('e', '10.30.0.2'))
        isOver = !outcome.reached
        if (outcome.failed) await host.join('e', '10.30.0.2')
        const [report] = await host.reconciler.audit()
        if (report!.missing.length > 0) {
          // It went after it was made: the engine is told its name, does not find it, and starts over.
          await host.remove('e')
          await host.join('e', '10.30.0.2')
        }
        await host.expectWhole(`${victim} gone before call ${nth}, ${outcome.call}`, 'e')
        await host.remove('e')
        await host.waitForTeardown()
      }
    })

    it(`a ${victim} is nobody's loss while a container goes, or in an audit`, async () => {
      const host = faulty()
      for (const work of [() => host.remove('e'), () => host.reconciler.audit()])
        for (let nth = 1, isOver = false; !isOver; nth++) {
          await host.join('e', '10.30.0.2')
          const outcome = await host.disturbed(vanishing, nth, work)
          isOver = !outcome.reached
          await host.remove('e')
          await host.expectNothing(`${victim} gone before call ${nth}, ${outcome.call}`)
        }
    })
  }
})
