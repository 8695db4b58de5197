import { expect } from 'chai'
import { Desk, refused } from './desk.ts'

describe('swarm', () => {
  it('a manager allocates alone; workers take what they are told', () =>
    Desk.with(3, async (desk, manager, worker, other) => {
      const told = { subnet: '10.30.0.0/24', space: 'ts-overlay-global', unbound: true }
      const { id, gateway } = await desk.create(manager, told)
      expect(id).to.equal('ts-overlay-global/10.30.0.0/24')
      const task = await desk.take(manager, id)
      expect(task).to.not.equal(gateway)
      await desk.gossip()
      for (const host of [worker, other]) {
        host.crash(false)
        await desk.run(host.start({ scope: 'global' }))
      }
      await desk.gossip()
      desk.world.cut(['h2'])
      const local = await desk.create(worker, { subnet: '10.30.0.0/24' })
      expect(local.id).to.equal('ts-overlay-swarm/10.30.0.0/24')
      expect(local.gateway).to.equal(gateway)
      expect(await desk.take(worker, local.id, task.split('/')[0])).to.equal(task)
      await refused(desk.take(worker, local.id), 'UNSUPPORTED', 'manager')
      await desk.free(worker, local.id, task)
      await desk.remove(worker, local.id)
    }))

  it('a new leader takes over the addresses it is told of', () =>
    Desk.with(2, async (desk, one, two) => {
      const told = { subnet: '10.30.0.0/24', space: 'ts-overlay-global', unbound: true }
      const { id } = await desk.create(one, told)
      const tasks = [await desk.take(one, id), await desk.take(one, id)]
      one.crash(false)
      await desk.create(two, told)
      for (const task of tasks) {
        expect(await desk.take(two, id, task.split('/')[0])).to.equal(task)
      }
      expect(tasks).to.not.include(await desk.take(two, id))
    }))
})
