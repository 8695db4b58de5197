import { useFaultyHost } from './faulty-host.ts'
import { describeOperations } from './faulty-operations.ts'

/*
 * Every call to the kernel of every operation fails once, in each of the ways that kernels fail. After an error nothing is
 * left of what was begun, a plain retry succeeds, and then all of it is there.
 */

describe('every fault of a Linux kernel', function () {
  this.timeout(120_000)
  const faulty = useFaultyHost('every fault of a Linux kernel')

  for (const code of ['EPERM', 'EBUSY', 'ENODEV', 'ENOBUFS'] as const)
    describeOperations(`${code} for a request`, { layer: 'requests', happens: () => code }, faulty)
  describeOperations(
    'EPERM from a system call',
    { layer: 'system calls', happens: () => 'EPERM' },
    faulty,
  )
  describeOperations(
    'ENOBUFS in place of an answer',
    { layer: 'answers', happens: () => 'ENOBUFS' },
    faulty,
  )
})
