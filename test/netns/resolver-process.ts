/**
 * A process with resolvers, for tests that kill or stop it: `node resolver-process.ts FOLDER SANDBOX…`
 * answers 10.0.0.9 for the name "there", and says "ready" when it does.
 */
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { LinuxResolvers } from '../../src/dataplane/linux/resolver/linux-resolvers.ts'
import { decode } from 'dns-packet'
import { answerOf } from './sandbox-dns.ts'

const [directory = '', ...sandboxes] = process.argv.slice(2)
const resolvers = new LinuxResolvers({
  sandboxDirectory: directory,
  clock: systemClock,
  logger: silentLogger,
  processName: String(process.pid),
  answer: (_source, bytes) => {
    const query = Buffer.from(bytes)
    return decode(query).questions?.[0]?.name === 'there' ? answerOf(query, '10.0.0.9') : null
  },
})
const obstacle = await resolvers.start()
if (obstacle !== null) throw new Error(obstacle)
for (const sandbox of sandboxes) await resolvers.attach(sandbox)
process.on('SIGTERM', () => void resolvers.close().then(() => process.exit(0)))
setInterval(() => {}, 1_000_000)
process.stdout.write('ready\n')
