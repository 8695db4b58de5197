/**
 * What the end-to-end tests do on the hosts of their one lab: hosts 1 to 3 have the plugin and are
 * members of one cluster, host 4 has an engine and nothing else.
 */
import { expect } from 'chai'
import { addressIn } from '../support/lab/containers.ts'
import type { Host } from '../support/lab/host.ts'
import { labImage } from '../support/lab/image.ts'
import type { Lab } from '../support/lab/lab.ts'
import type { Ran } from '../support/lab/machine.ts'

let lab: Lab | undefined

/** Sets the lab for all tests of this process. Returns the one before. */
export function setLab(next: Lab | undefined): Lab | undefined {
  const previous = lab
  lab = next
  return previous
}

export const hasLab = (): boolean => lab !== undefined

export function theLab(): Lab {
  if (lab === undefined) throw new Error('end-to-end tests run with --require test/e2e/hooks.ts')
  return lab
}

/** A host by its number, from 1. */
export const host = (index: number): Host => theLab().host(index)

export const members = (): readonly Host[] => [host(1), host(2), host(3)]
export const bareHost = (): Host => host(4)

/** `E2E_LONG=1`: the sizes that the figures in docs/benchmarks.md are made with. */
export const long = process.env['E2E_LONG'] === '1'

/** Our driver and our address management: such a network is created on all hosts. */
export const everywhere = ['-d', 'ts-overlay', '--ipam-driver', 'ts-overlay'] as const

/** The same, but each host has only the networks that the test creates on it, as most tests want. */
export const ours = [...everywhere, '--label', 'ts-overlay.local=true'] as const

/** `docker network create` with the same arguments on each host. */
export async function createNetwork(
  hosts: readonly Host[],
  name: string,
  args: readonly string[],
): Promise<void> {
  await Promise.all(hosts.map((on) => on.docker(['network', 'create', ...args, name])))
}

/** `docker run -d` of a container that stays; returns its address on the network. */
export async function start(
  on: Host,
  network: string,
  name: string,
  args: readonly string[] = [],
): Promise<string> {
  const command = ['sleep', '3600']
  await on.docker([
    'run',
    '-d',
    '--name',
    name,
    '--network',
    network,
    ...args,
    labImage,
    ...command,
  ])
  return addressOf(on, network, name)
}

/**
 * `docker run --rm` of one command in a container on the network; a failure is returned, not
 * thrown.
 */
export async function runOnce(
  on: Host,
  network: string,
  command: readonly string[],
  args: readonly string[] = [],
): Promise<Ran> {
  const words = ['run', '--rm', '--network', network, ...args, labImage, ...command]
  return on.docker(words, { reject: false })
}

export async function addressOf(on: Host, network: string, container: string): Promise<string> {
  return addressIn(on, network, container)
}

/** A ping that takes about half a second when answered. */
const ping = 'ping -c 3 -i 0.2 -W 10'.split(' ')

/** Expects three answers to three packets, so the first one too, from a new container. */
export async function expectAnswers(
  on: Host,
  network: string,
  address: string,
  options: readonly string[] = [],
): Promise<void> {
  const { stdout, stderr } = await runOnce(on, network, [...ping, ...options, address])
  expect(stdout + stderr).to.contain('3 packets transmitted, 3 received')
}

/** As `expectAnswers`, from a container that runs already. */
export async function expectAnswersIn(
  on: Host,
  container: string,
  address: string,
  options: readonly string[] = [],
): Promise<void> {
  const words = ['exec', container, ...ping, ...options, address]
  const { stdout, stderr } = await on.docker(words, { reject: false })
  expect(stdout + stderr).to.contain('3 packets transmitted, 3 received')
}

/** Expects that nothing comes back from that address. */
export async function expectSilence(on: Host, container: string, address: string): Promise<void> {
  const words = ['exec', container, 'ping', '-c', '2', '-i', '0.2', '-W', '1', address]
  const { stdout, exitCode } = await on.docker(words, { reject: false })
  expect(exitCode, stdout).not.to.equal(0)
  expect(stdout).to.contain(' 0 received')
}

/** Expects a docker command to fail with a message that has all these parts. */
export function expectRefusal(ran: Ran, ...parts: readonly (string | RegExp)[]): void {
  expect(ran.exitCode, ran.stdout).not.to.equal(0)
  expectParts(ran.stderr, ...parts)
}

/** Expects a message that has all these parts. */
export function expectParts(message: string, ...parts: readonly (string | RegExp)[]): void {
  for (const part of parts) {
    if (typeof part === 'string') expect(message).to.contain(part)
    else expect(message).to.match(part)
  }
}
