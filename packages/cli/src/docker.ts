import { version } from '../../../src/version.ts'
import manifest from '../package.json' with { type: 'json' }

/** What Docker's command line calls a plugin with, to hear what it is. */
export const metadataCall = 'docker-cli-plugin-metadata'

/** The answer; docker-ts-overlay.sh gives the same without starting Node. */
export const metadata = {
  SchemaVersion: '0.1.0',
  Vendor: 'ts-overlay',
  Version: version,
  ShortDescription: 'Overlay networks without swarm',
  URL: manifest.homepage,
}

/** Docker takes commands of letters and digits only from plugins: its `pluginNameRe`. */
const ownNames = ['tsoverlay', 'ts-overlay']

/**
 * The words behind our name. Docker calls its plugin with all words behind `docker`: its own
 * options, our name, ours. `__complete` stays first; `docker help tsoverlay` asks for help.
 */
export function ownWords(program: string, words: readonly string[]): string[] {
  const at = words.findIndex((word) => ownNames.includes(word))
  if (program === 'ts-overlay' || at < 0) return [...words]
  if (words[0] === 'help') return [...words.slice(at + 1), '--help']
  const isCompletion = words[0] === '__complete' || words[0] === '__completeNoDesc'
  return [...(isCompletion ? ['__complete'] : []), ...words.slice(at + 1)]
}
