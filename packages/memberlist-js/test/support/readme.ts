/** What stands between `<!-- name -->` and `<!-- /name -->`. */
export function sectionOf(readme: string, name: string): string {
  const [start, end] = bounds(readme, name)
  return readme.slice(start, end)
}

/** The same text with another section. */
export function replaceSection(readme: string, name: string, content: string): string {
  const [start, end] = bounds(readme, name)
  return `${readme.slice(0, start)}${content}${readme.slice(end)}`
}

/** The first block of code in the given language. */
export function codeOf(readme: string, language: string): string {
  const start = readme.indexOf(`\`\`\`${language}\n`)
  const end = readme.indexOf('\n```', start)
  if (start < 0 || end < 0) throw new Error(`the README has no block of ${language}`)
  return readme.slice(start + language.length + 4, end)
}

function bounds(readme: string, name: string): [start: number, end: number] {
  const opening = `<!-- ${name} -->\n`
  const start = readme.indexOf(opening)
  const end = readme.indexOf(`<!-- /${name} -->`)
  if (start < 0 || end < start) throw new Error(`the README has no section ${name}`)
  return [start + opening.length, end]
}
