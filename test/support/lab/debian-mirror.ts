/**
 * The Debian mirror that this machine's own apt uses, so that the lab fetches from where the
 * machine already may fetch.
 */
import { execa } from 'execa'

/**
 * Returns the mirror's URI, or undefined where apt has no Debian main archive (Ubuntu): debootstrap
 * then uses the one that it knows itself. `TS_OVERLAY_DEBIAN_MIRROR` overrides both.
 */
export async function debianMirror(): Promise<string | undefined> {
  const override = process.env['TS_OVERLAY_DEBIAN_MIRROR']
  if (override !== undefined && override !== '') return override
  const format = '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)'
  const listed = await execa('apt-get', ['indextargets', '--format', format], { reject: false })
  return chooseMirror(listed.stdout ?? '')
}

/**
 * Picks the Debian main archive from lines `origin|label|component|uri`; security and third-party
 * archives do not do.
 */
export function chooseMirror(indexTargets: string): string | undefined {
  for (const line of indexTargets.split('\n')) {
    const [origin, label, component, uri] = line.split('|')
    if (origin === 'Debian' && label === 'Debian' && component === 'main' && uri) return uri
  }
  return undefined
}
