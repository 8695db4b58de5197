import { lan } from 'memberlist-js'
import { tuned, Simulation } from '../test/support/simulation.ts'
import { broadcastTimes, deathTimes, falseAlarms, healingTime, median, quantile } from '../test/support/measures.ts'
const time = async <T>(what: string, f: () => Promise<T>) => { const t = performance.now(); const r = await f(); console.log(what, JSON.stringify(r), ((performance.now()-t)/1000).toFixed(1)+'s') }
if (process.argv[2] === 'heal') {
for (const share of [0.1, 0.5]) for (const size of [2, 3, 10, 25, 100]) for (const loss of [0, 0.05]) await time(`heal ${share} ${size} ${loss}`, async () => { const r = []; for (let seed = 1; seed <= 10; seed++) r.push(await healingTime({ seed, size, config: tuned, conditions: { loss} }, share, 30_000)); return [median(r), Math.max(...r)] })
await time('heal lan', async () => { const r = []; for (let seed = 1; seed <= 10; seed++) r.push(await healingTime({ seed, size: 10, config: lan }, 0.5, 60_000)); return r })
} else if (process.argv[2] === 'big') {
  let s!: Simulation
  await time('make', async () => { s = new Simulation(1, 1000, lan, {}); return 1 })
  await time('settle', async () => { await s.settle(); return s.network.traffic })
  await time('broadcast', async () => [await s.broadcast(1), s.network.traffic])
  await time('settle', async () => { await s.settle(); return s.network.traffic })
  console.log(process.memoryUsage())
}
