import { print, printTable, printWrapped, toned } from '../output.ts'
import type { Ends } from './ends.ts'
import { type Hop, firstWrong } from './hops.ts'

export function printTrace({ from, to, overlayId }: Ends, hops: readonly Hop[]): void {
  print(toned(`${from.name} on ${from.host} to ${to.name} on ${to.host}, by ${overlayId}`, 'bold'))
  printTable(
    ['HOST', 'HOP', 'STATE', 'FOUND'],
    hops.map(({ host, what, ok, found }) => [
      host,
      what,
      ok === null ? '-' : ok ? { text: 'ok', tone: 'good' } : { text: 'WRONG', tone: 'bad' },
      found,
    ]),
  )
  const wrong = firstWrong(hops)
  if (wrong === null) print('every hop is as it should be: look into the containers themselves')
  else printWrapped(`! ${wrong.host}, ${wrong.what}: ${wrong.found}; ${wrong.remedy!}`, 'bad')
}
