import { expect } from 'chai'
import {
  circleIn,
  codeOf,
  fileGraph,
  filesImportedBy,
  filesUnder,
  folderGraph,
  foldersUnder,
  functionsOf,
  type Graph,
  importsOf,
  linesOf,
  roomOf,
  textOf,
} from '../support/house.ts'
import * as limits from './house-limits.ts'

const sources = filesUnder('src')
const library = filesUnder('packages/memberlist-js/src')
const all = [...sources, ...library]

/** The room of a file of src, `top`, or the name of the library. */
function partOf(file: string): string {
  return file.startsWith('packages/') ? 'memberlist-js' : (roomOf(file) ?? 'top')
}

function withoutKnownCircles(graph: Graph): Graph {
  const isKnown = (from: string, to: string): boolean =>
    limits.knownCircles.some((known) => known.test(`${from} -> ${to}`))
  return new Map(
    Array.from(graph, ([from, targets]) => {
      return [from, new Set([...targets].filter((to) => !isKnown(from, to)))]
    }),
  )
}

describe('the house', () => {
  it('has only rooms that the arrows know', () => {
    for (const file of sources) {
      const known = roomOf(file) === null ? limits.topArrows : { ...limits.arrows, wiring: [] }
      expect(Object.keys(known), file).to.include(roomOf(file) ?? file)
    }
  })

  it('keeps its arrows: a room imports only from the rooms below it', () => {
    for (const file of sources) {
      const room = roomOf(file)
      if (room === null || room === 'wiring') continue
      for (const path of filesImportedBy(file)) {
        const other = roomOf(path)
        const allowed = other === room || (other !== null && limits.arrows[room]!.includes(other))
        expect(allowed, `${file} imports ${path}`).to.equal(true)
      }
    }
  })

  it('keeps the arrows at its top: wiring and the files of src', () => {
    for (const file of sources) {
      const room = roomOf(file)
      if (room !== null && room !== 'wiring') continue
      const allowed = room === 'wiring' ? Object.keys(limits.arrows) : limits.topArrows[file]!
      for (const path of filesImportedBy(file)) {
        const target = roomOf(path) ?? path
        if (allowed.includes('*') || target === room || target === 'package.json') continue
        expect(allowed, `${file} imports ${path}`).to.include(target)
      }
    }
  })

  it('has no circles of files or of folders side by side', () => {
    for (const files of [sources, library])
      for (const graph of [fileGraph(files), folderGraph(files)])
        expect(circleIn(withoutKnownCircles(graph))?.join(' -> ')).to.equal(undefined)
  })

  it('lets only the room that wraps a package know it', () => {
    for (const file of sources)
      for (const name of importsOf(file)) {
        const place = limits.confinedPackages[name]
        if (place !== undefined) expect(file, `${file} imports ${name}`).to.match(place)
      }
  })

  it('has a library that knows nothing of this house', () => {
    for (const file of library) {
      const packages = importsOf(file).filter((name) => !name.startsWith('.'))
      for (const name of packages) expect(name, file).to.match(/^node:/)
      for (const path of filesImportedBy(file))
        expect(path, file).to.match(/^packages\/memberlist-js\/src\//)
    }
  })

  it('has a command line that takes from the plugin what has no state, and types', () => {
    for (const file of filesUnder('packages/cli/src')) {
      const statements = textOf(file).matchAll(/^import (type )?[^']*'(?:\.\.\/)+src\/([^']+)'/gm)
      for (const [, type, target] of statements)
        if (type === undefined)
          expect(target, file).to.match(/^(base\/(printable|errors)|version)\.ts$/)
    }
  })

  it('takes time and chance only from its ports', () => {
    const impure =
      /\bDate\.now\b|\bnew Date\(\)|(?<!\.)\bsetTimeout\(|(?<!\.)\bsetInterval\(|\bMath\.random\b/
    for (const file of sources.filter((name) => !name.startsWith('src/base/')))
      expect(impure.exec(codeOf(file))?.[0], file).to.equal(undefined)
  })

  it('touches the kernel in one place', () => {
    for (const file of sources.filter((name) => !name.startsWith('src/dataplane/linux/')))
      expect(importsOf(file), file).to.not.include('execa')
  })

  it('has no file that nobody imports', () => {
    const entries = ['src/main.ts', 'src/resolver.ts', 'src/rights.ts', 'src/settings/docs.ts']
    const importers = ['src', 'plugin', 'bench', 'test', 'packages'].flatMap((folder) =>
      filesUnder(folder),
    )
    const used = new Set(importers.flatMap(filesImportedBy))
    for (const file of sources.filter((name) => !entries.includes(name)))
      expect(used.has(file), `nobody imports ${file}`).to.equal(true)
  })

  it('exports only what another file imports', () => {
    const texts = new Map(
      ['src', 'plugin', 'bench', 'test', 'packages/cli', 'packages/page']
        .flatMap((folder) => filesUnder(folder))
        .map((file) => [file, textOf(file)]),
    )
    const pattern =
      /^export (?:async |abstract )?(?:function|class|const|interface|type)\*? (\w+)/gm
    for (const file of sources.filter((name) => !limits.unusedExports.includes(partOf(name))))
      for (const [, name] of texts.get(file)!.matchAll(pattern)) {
        const word = new RegExp(`\\b${name}\\b`)
        const isUsed = [...texts].some(([other, text]) => other !== file && word.test(text))
        expect(isUsed, `${file} exports ${name}, which no other file imports`).to.equal(true)
      }
  })

  it('has unit tests in the folders of what they test', () => {
    const folders = new Set([...foldersUnder('src'), 'src/plugin', 'src/support'])
    for (const folder of foldersUnder('test/unit'))
      expect(folders, folder).to.include(folder.replace('test/unit', 'src'))
  })
})

describe('the house is small', () => {
  it('keeps files, functions and folders to one idea', () => {
    const filesIn = new Map<string, number>()
    for (const file of all) {
      const folder = file.slice(0, file.lastIndexOf('/'))
      filesIn.set(folder, (filesIn.get(folder) ?? 0) + 1)
      expect(linesOf(file).length, file).to.be.at.most(limits.maxFileLines)
      const most = limits.longFunctions[file] ?? limits.maxFunctionLines
      for (const { line, lines } of functionsOf(file))
        expect(lines, `the function at ${file}:${line}`).to.be.at.most(most)
    }
    for (const [folder, count] of filesIn)
      expect(count, `files in ${folder}`).to.be.at.most(
        limits.crowdedFolders[folder] ?? limits.maxFolderFiles,
      )
  })

  it('keeps every room within its budget of lines', () => {
    const lines: Record<string, number> = {}
    for (const file of sources)
      lines[partOf(file)] = (lines[partOf(file)] ?? 0) + linesOf(file).length
    for (const [room, count] of Object.entries(lines))
      expect(count, `lines of ${room}`).to.be.at.most(limits.budgets[room]!.max)
  })

  it('keeps the page within its budget, and lets it take only types from the plugin', () => {
    const files = filesUnder('packages/page/src', /\.tsx?$/)
    const lines = files.reduce((sum, file) => sum + linesOf(file).length, 0)
    expect(lines).to.be.at.most(limits.maxPageLines)
    for (const file of files)
      for (const [, type] of textOf(file).matchAll(/^import (type )?[^']*'(?:\.\.\/)+src\//gm))
        expect(type, file).to.equal('type ')
  })
})

describe('the house speaks the field’s language', () => {
  it('has comments of at most a hundred columns', () => {
    for (const file of all.filter((name) => !limits.wideComments.includes(partOf(name))))
      for (const [index, line] of linesOf(file).entries())
        if (/^\s*(\/\*|\*|\/\/)/.test(line))
          expect(line.length, `${file}:${index + 1}`).to.be.at.most(limits.maxCommentColumns)
  })

  it('has no words of a private one', () => {
    for (const file of sources)
      for (const { pattern, instead, notYet = [] } of limits.bannedWords) {
        if (notYet.includes(partOf(file))) continue
        const found = pattern.exec(textOf(file))?.[0]
        expect(found, `${file}: better ${instead}`).to.equal(undefined)
      }
  })
})
