import { render } from 'preact'
import { useState } from 'preact/hooks'
import { Details } from './details.tsx'
import { Lists } from './lists.tsx'
import { Map } from './map.tsx'
import { type Selection, type Trouble, ago, counted, troublesOf } from './model.ts'
import { useHash, useView } from './use-view.ts'

/** Lines of trouble that are shown until one asks for all. */
const maxTroubles = 5

function Page() {
  const { view, at, failure } = useView()
  const [selected, select] = useHash<NonNullable<Selection>>()
  if (view === null)
    return <main class="empty">{failure === null ? 'Loading …' : `No answer: ${failure}`}</main>
  const troubles = troublesOf(view)
  const here = view.hosts[view.here]?.name ?? 'a host without a cluster'
  const left = Object.entries(view.omitted).map(([what, count]) => `${count} ${what}`)
  document.title = `${troubles.length === 0 ? '' : `(${troubles.length}) `}ts-overlay on ${here}`
  return (
    <>
      <header>
        <h1>ts-overlay</h1>
        <span class="note">as seen from {here} ★</span>
        <span role="status" class={troubles.length === 0 ? 'state good' : 'state bad'}>
          {troubles.length === 0 ? '✓ All well' : `✕ ${counted(troubles.length, 'problem')}`}
        </span>
        <span class="note right">
          {view.version} · {at?.toLocaleTimeString()}
        </span>
      </header>
      {failure !== null && (
        <p class="away" role="alert">
          The plugin does not answer ({failure}). This is how it was at {at?.toLocaleTimeString()}.
        </p>
      )}
      {left.length > 0 && <p class="note">Not shown: {left.join(', ')}.</p>}
      {troubles.length > 0 && <Troubles troubles={troubles} select={select} />}
      <main>
        <Map view={view} selected={selected} select={select} />
        <aside>
          <Details view={view} troubles={troubles} selected={selected} select={select} />
          <Lists view={view} selected={selected} select={select} />
        </aside>
      </main>
    </>
  )
}

interface TroublesProps {
  readonly troubles: readonly Trouble[]
  readonly select: (selection: Selection) => void
}

function Troubles({ troubles, select }: TroublesProps) {
  const [isWhole, setWhole] = useState(false)
  const shown = isWhole ? troubles : troubles.slice(0, maxTroubles)
  return (
    <section class="troubles" aria-label="what is wrong">
      <ul>
        {shown.map(({ key, title, text, remedy, since, target }) => (
          <li key={key}>
            <button onClick={() => select(target)}>
              <b>{title}</b>
              <span class="note">{since === '' ? '' : `for ${ago(since)}`}</span>
              <span>{text}</span>
              <span class="note">{remedy}</span>
            </button>
          </li>
        ))}
      </ul>
      {troubles.length > maxTroubles && (
        <button class="link" onClick={() => setWhole(!isWhole)}>
          {isWhole ? 'Fewer' : `All ${troubles.length}`}
        </button>
      )}
    </section>
  )
}

render(<Page />, document.body)
