import { median } from './figures.ts'

/** One group of bars: a bar for each series, with its values of all rounds. */
export interface Group {
  readonly name: string
  readonly unit: string
  readonly values: readonly (readonly number[])[]
}

const colours = ['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#76b7b2', '#b07aa1']
const [width, barHeight, left, right] = [860, 16, 190, 170]

/**
 * Horizontal bars of medians with a line from the least to the most, each group on its own scale, as
 * an SVG document.
 */
export function barPlot(
  title: string,
  series: readonly string[],
  groups: readonly Group[],
): string {
  const parts: string[] = [text(12, 24, title, 'font-size="16" font-weight="600"')]
  let y = 44
  for (const [i, name] of series.entries()) {
    const x = 12 + (i % 3) * 270
    const top = y + Math.floor(i / 3) * 18
    parts.push(`<rect x="${x}" y="${top}" width="12" height="12" fill="${colourOf(i)}"/>`)
    parts.push(text(x + 18, top + 10, name))
  }
  y += Math.ceil(series.length / 3) * 18 + 16
  for (const { name, unit, values } of groups) {
    const most = Math.max(...values.flat())
    const scale = (value: number): number => (value / most) * (width - left - right)
    parts.push(text(12, y + 12, `${name}, ${unit}`))
    for (const [i, rounds] of values.entries()) {
      const middle = median(rounds)
      const [from, to] = [Math.min(...rounds), Math.max(...rounds)].map((v) => left + scale(v))
      const centre = y + barHeight / 2
      parts.push(
        `<rect x="${left}" y="${y}" width="${at(scale(middle))}" height="${barHeight - 3}" fill="${colourOf(i)}"/>`,
        `<path d="M${at(from!)} ${at(centre - 1)}H${at(to!)}" stroke="#333"/>`,
        text(left + scale(most) + 8, y + 11, Number(middle.toPrecision(3)).toString()),
      )
      y += barHeight
    }
    y += 14
  }
  const style = 'font-family="sans-serif" font-size="12"'
  const paper = `<rect width="100%" height="100%" fill="#fff"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" ${style}>\n${[paper, ...parts].join('\n')}\n</svg>\n`
}

const colourOf = (i: number): string => colours[i % colours.length]!
const at = (value: number): string => value.toFixed(1)

function text(x: number, y: number, words: string, attributes = ''): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${at(x)}" y="${at(y)}" ${attributes}>${escaped}</text>`
}
