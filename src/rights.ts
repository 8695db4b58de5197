import { denySystemCalls, excessRights, narrowMounts } from './host/rights/rights.ts'

/**
 * What runs before main.ts in the image: gives up what the launcher (plugin/launcher.ts) could not
 * before Node, and tells which rights this process still has.
 */
const warn = (message: string): void => void process.stderr.write(`ts-overlay: ${message}\n`)

giveUpRights(process.env)

function giveUpRights(env: NodeJS.ProcessEnv): void {
  const engineSocket = env['ENGINE_API'] === 'off' ? '' : 'docker.sock'
  narrowMounts({ run: '/host-run', kept: '/host-docker', engineSocket }, warn)
  denySystemCalls(warn)
  for (const right of excessRights())
    warn(`${right}: this process keeps more rights than it needs: start it with the launcher`)
}
