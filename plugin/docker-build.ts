/**
 * The build by `plugin/Dockerfile`, for machines with an engine that can reach an image registry.
 */
import { mkdir } from 'node:fs/promises'
import { execa } from 'execa'
import { projectDir } from './project.ts'

/** All that build.ts reads. */
const context = 'package.json config.json LICENSE src plugin packages node_modules'

const imageName = 'ts-overlay-rootfs'
/** `BASE` of the environment, such as `debian@sha256:…`, in place of the Dockerfile's. */
const base = '${BASE:+--build-arg "BASE=$BASE"}'

/** Fills the folder `root` with what the image of `plugin/Dockerfile` holds. */
export async function buildRootfsWithDocker(root: string): Promise<void> {
  await shell(`tar -c ${context} | docker build ${base} -t ${imageName} -f plugin/Dockerfile -`)
  // An image of files alone has no command, but a container must have one to be made.
  const container = await execa('docker', ['create', imageName, 'none'])
  try {
    await mkdir(root, { recursive: true })
    await shell(`docker export ${container.stdout} | tar -x -C '${root}'`)
  } finally {
    await execa('docker', ['rm', container.stdout])
  }
}

/** A pipe of two programs whose megabytes do not pass through this one. */
async function shell(command: string): Promise<void> {
  await execa('bash', ['-o', 'pipefail', '-c', command], { cwd: projectDir, stdio: 'inherit' })
}
