import { denyExecution, reduceRights } from './host/rights/rights.ts'

/**
 * What runs before main.ts in the image, a program of its own so that little is read twice: it
 * gives up rights and executes Node again, which starts without them.
 */

/** Set for the Node that is executed again. */
const marker = 'TS_OVERLAY_RIGHTS_REDUCED'
/** An idle plugin has 90 MB in all; 100,000 endpoints take 160. */
const maxMemoryBytes = 1024n * 1024n * 1024n
/** Of JavaScript's objects, in MB: V8 collects before it asks for more, and ends beyond it. */
const maxHeapMegabytes = 512

const warn = (message: string): void => void process.stderr.write(`ts-overlay: ${message}\n`)

giveUpRights(process.env)

function giveUpRights(env: NodeJS.ProcessEnv): void {
  if (env[marker] === undefined) {
    const engineSocket = env['ENGINE_API'] === 'off' ? '' : 'docker.sock'
    const mounts = { run: '/host-run', kept: '/host-docker', engineSocket }
    reduceRights({ mounts, maxMemoryBytes, warn })
    const { execPath, execArgv, argv } = process
    const flags = [...execArgv, `--max-old-space-size=${maxHeapMegabytes}`]
    process.execve!(execPath, [execPath, ...flags, ...argv.slice(1)], { ...env, [marker]: 'yes' })
  }
  denyExecution(warn)
}
