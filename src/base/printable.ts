/**
 * Characters that a terminal or a log takes for something else than text: controls (C0, DEL, C1),
 * what ends a line, what changes the direction of writing, and halves of surrogate pairs.
 */
const unprintable =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu

/**
 * `text` with those written as `\u001b`: names and messages come from other hosts, too, and must
 * not move a cursor, forge a line or hide what follows. In JSON text the escapes stand for what
 * they replace.
 */
export function printable(text: string): string {
  return text.replaceAll(
    unprintable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The same for each line of a text that has several. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** At most `max` characters of a text from outside, and a mark when there were more. */
export function shortened(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (${text.length} characters)`
}

/** A duration for people, in its largest unit that is not zero: `45 s`, `3 h`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
  ] as const
  const [size, name] = units.find(([size]) => seconds >= size) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${name}`
}
