import { styleText } from 'node:util'
import { durationText, printable } from '../../../src/base/printable.ts'

/** How much a text matters. */
export type Tone = 'good' | 'bad' | 'dim' | 'bold'

const formats = { good: 'green', bad: 'red', dim: 'dim', bold: 'bold' } as const

/** A cell of a table: text, or text that stands out. */
export type Cell = string | number | { readonly text: string; readonly tone: Tone }

/** Text in a colour where standard output is a terminal that has them, and NO_COLOR is not set. */
export function toned(text: string, tone: Tone): string {
  return styleText(formats[tone], text, { stream: process.stdout, validateStream: true })
}

/** One line. What came from other hosts cannot move the cursor: it is made printable. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** The same for JSON, indented for people. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2).split('\n').map(printable).join('\n'))
}

/** Columns under their titles, two spaces apart, without white space at the end of a line. */
export function printTable(titles: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const texts = rows.map((row) => row.map((cell) => printable(textOf(cell))))
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...texts.map((row) => row[column]?.length ?? 0)),
  )
  const padding = (text: string, column: number, columns: number): string =>
    column === columns - 1 ? '' : ' '.repeat(widths[column]! - text.length + 2)
  const titleLine = titles.map((title, i) => title + padding(title, i, titles.length)).join('')
  print(toned(titleLine, 'dim'))
  for (const [index, row] of rows.entries()) {
    const cells = row.map((cell, column) => {
      const text = texts[index]![column]!
      const shown = typeof cell === 'object' ? toned(text, cell.tone) : text
      return shown + padding(text, column, row.length)
    })
    print(cells.join('').trimEnd())
  }
}

/** A paragraph, wrapped to the terminal's width; the lines after the first are indented. */
export function printWrapped(text: string, tone?: Tone): void {
  const width = process.stdout.isTTY ? Math.max(40, process.stdout.columns) : Infinity
  let line = ''
  for (const word of printable(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      print(tone === undefined ? line : toned(line, tone))
      line = `  ${word}`
    } else line = line === '' ? word : `${line} ${word}`
  }
  print(tone === undefined ? line : toned(line, tone))
}

function textOf(cell: Cell): string {
  return typeof cell === 'object' ? cell.text : String(cell)
}

/** `1,234`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US')
}

/** How long ago that was. */
export function ago(since: string): string {
  return durationText(Date.now() - Date.parse(since))
}
