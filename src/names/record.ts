import * as v from 'valibot'

/** Names of one endpoint; a Compose service of several aliases has a handful. */
const maxNames = 32
/** RFC 1035, section 2.3.4, less the room for `.network`. */
const maxNameCharacters = 128
/** What Docker takes for a container's name, in labels as DNS has them. */
const namePattern = /^(?!.{129})[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*$/i

/** The fields of the record of an endpoint's names. */
export const namesFields = v.object({
  /** The container's name first. */
  names: v.pipe(
    v.array(v.pipe(v.string(), v.maxLength(maxNameCharacters), v.regex(namePattern))),
    v.minLength(1),
    v.maxLength(maxNames),
    v.readonly(),
  ),
})

/** Those of the names that can be published, each once whatever its case. */
export function publishable(names: readonly string[]): string[] {
  const fit = new Map<string, string>()
  for (const name of names.filter((candidate) => namePattern.test(candidate)))
    if (!fit.has(name.toLowerCase())) fit.set(name.toLowerCase(), name)
  return [...fit.values()].slice(0, maxNames)
}
