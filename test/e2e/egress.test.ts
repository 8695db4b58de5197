/**
 * The way out and in: `docker_gwbridge` does for our networks what it does for Docker's own
 * overlay.
 */
import { until } from '../support/lab/processes.ts'
import { outsideAddress } from '../support/lab/underlay.ts'
import { createNetwork, expectAnswers, expectAnswersIn, host, ours, start } from './cluster.ts'

describe('egress', () => {
  it('reaches the world outside', async () => {
    await createNetwork([host(1)], 'n', [...ours, '--subnet', '10.50.0.0/24'])
    await start(host(1), 'n', 'c1')
    await expectAnswersIn(host(1), 'c1', outsideAddress)
  })

  it('-p publishes a port on the host', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.51.0.0/24'])
    const web = 'mkdir /www; echo it works > /www/index.html; exec busybox httpd -f -p 80 -h /www'
    const published = ['run', '-d', '--name', 'web', '--network', 'n', '-p', '8080:80']
    await host(1).docker([...published, 'lab:latest', 'sh', '-c', web])
    const request = 'GET / HTTP/1.0\\r\\n\\r\\n'
    const fetch = `exec 3<>/dev/tcp/${host(1).address}/8080 && printf '${request}' >&3 && cat <&3`
    // The server in the container listens a moment after its start.
    const fetched = async (): Promise<boolean> => {
      const command = ['timeout', '5', 'bash', '-c', fetch]
      const { stdout } = await host(2).exec(command, { reject: false })
      return /^HTTP.* 200 .*it works\s*$/s.test(stdout)
    }
    await until(fetched, 'the page')
  })

  it('does not stand in the way of the overlay', async () => {
    await createNetwork([host(1), host(2)], 'n', [...ours, '--subnet', '10.52.0.0/24'])
    const address = await start(host(1), 'n', 'c1', ['-p', '8081:80'])
    await expectAnswers(host(2), 'n', address)
  })
})
