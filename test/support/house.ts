/** What the house test reads of the sources: files, imports, folders, functions, comments. */
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

/** Files under a folder, those of TypeScript, as paths relative to the checkout. */
export function filesUnder(folder: string, pattern = /\.ts$/): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
    .filter((file) => !file.includes('node_modules/') && !file.includes('/dist/'))
}

export function foldersUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
}

export function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

export function linesOf(file: string): string[] {
  return textOf(file).trimEnd().split('\n')
}

/** The text without comments, roughly: enough to look for identifiers. */
export function codeOf(file: string): string {
  return textOf(file)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '')
}

/** What a file imports or re-exports, types too, as written. */
export function importsOf(file: string): string[] {
  const pattern = /^(?:import|export)\s[^'"]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm
  return [...textOf(file).matchAll(pattern)].map((match) => match[1] ?? match[2]!)
}

/** The files of the checkout that a file imports. */
export function filesImportedBy(file: string): string[] {
  return importsOf(file)
    .filter((name) => name.startsWith('.'))
    .map((name) => relative(root, resolve(root, dirname(file), name)).replaceAll(sep, '/'))
}

/** The room of a source file; null for the files at the top of src. */
export function roomOf(file: string): string | null {
  const parts = file.split('/')
  return parts.length > 2 ? parts[1]! : null
}

export type Graph = ReadonlyMap<string, ReadonlySet<string>>

/** Who imports whom. */
export function fileGraph(files: readonly string[]): Graph {
  return new Map(files.map((file) => [file, new Set(filesImportedBy(file))]))
}

/**
 * Which folder imports which folder beside it. An import from one folder into another is one
 * between the folders of the two that are children of the same folder; a folder and the files right
 * above it are one thing.
 */
export function folderGraph(files: readonly string[]): Graph {
  const graph = new Map<string, Set<string>>()
  for (const file of files)
    for (const target of filesImportedBy(file)) {
      const [from, to] = [dirname(file).split('/'), dirname(target).split('/')]
      let depth = 0
      while (depth < from.length && from[depth] === to[depth]) depth++
      if (depth === from.length || depth === to.length) continue
      const [a, b] = [from, to].map((parts) => parts.slice(0, depth + 1).join('/'))
      graph.set(a!, (graph.get(a!) ?? new Set()).add(b!))
    }
  return graph
}

/**
 * One circle of the graph, as the nodes on it with the first one repeated; null when there is none.
 */
export function circleIn(graph: Graph): string[] | null {
  const done = new Set<string>()
  const walk = (node: string, path: readonly string[]): string[] | null => {
    const at = path.indexOf(node)
    if (at >= 0) return [...path.slice(at), node]
    if (done.has(node)) return null
    for (const next of graph.get(node) ?? []) {
      const circle = walk(next, [...path, node])
      if (circle !== null) return circle
    }
    done.add(node)
    return null
  }
  for (const node of graph.keys()) {
    const circle = walk(node, [])
    if (circle !== null) return circle
  }
  return null
}

/**
 * The functions with a body of several lines, each with its first line and its number of lines.
 * Relies on the formatting of prettier: a body ends at the first line with the indentation of its
 * head that begins with `}`.
 */
export function functionsOf(file: string): { readonly line: number; readonly lines: number }[] {
  const lines = linesOf(file)
  const found: { line: number; lines: number }[] = []
  for (const [index, line] of lines.entries()) {
    const isArrow = line.endsWith('=> {')
    const isStatement = /^\s*(\} )?(if|for|while|switch|catch|else|with|class|interface)\b/.test(
      line,
    )
    if (!isArrow && (isStatement || !/\)(: .*)? \{$/.test(line))) continue
    const indent = /^\s*/.exec(line)![0]
    let first = index
    if (/^\s*[)}\]]/.test(line))
      do first--
      while (first > 0 && !new RegExp(`^${indent}\\S`).test(lines[first]!))
    const last = lines.findIndex((other, at) => at > index && other.startsWith(`${indent}}`))
    found.push({ line: first + 1, lines: last - first + 1 })
  }
  return found
}
