import { useEffect, useState } from 'preact/hooks'
import type { PageView } from '../../../src/admin/page-view.ts'

/** Between an answer and the next question, ms. */
const pollMs = 2000
const timeoutMs = 8000

export interface Live {
  readonly view: PageView | null
  /** When the view came; null before the first. */
  readonly at: Date | null
  /** Why there is no newer one; null when all is well. */
  readonly failure: string | null
}

/** The view of the plugin, asked again and again while the page can be seen. */
export function useView(): Live {
  const [live, setLive] = useState<Live>({ view: null, at: null, failure: null })
  useEffect(() => {
    let timer = 0
    const ask = async (): Promise<void> => {
      try {
        const answer = await fetch('view', { signal: AbortSignal.timeout(timeoutMs) })
        if (!answer.ok) throw new Error(`status ${answer.status}`)
        const view = (await answer.json()) as PageView
        setLive({ view, at: new Date(), failure: null })
      } catch (error) {
        setLive((last) => ({ ...last, failure: String(error) }))
      }
      timer = setTimeout(next, pollMs)
    }
    const next = (): void => void (document.hidden ? null : ask())
    const seen = (): void => {
      clearTimeout(timer)
      next()
    }
    document.addEventListener('visibilitychange', seen)
    void ask()
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', seen)
    }
  }, [])
  return live
}

/** The selection, kept in the address so that it can be sent to others. */
export function useHash<T extends string>(): [T | null, (value: T | null) => void] {
  const read = (): T | null => new URLSearchParams(location.hash.slice(1)).get('show') as T | null
  const [value, setValue] = useState(read)
  useEffect(() => {
    const changed = (): void => setValue(read())
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  const set = (next: T | null): void => {
    history.replaceState(null, '', next === null ? '.' : `#show=${encodeURIComponent(next)}`)
    setValue(next)
  }
  return [value, set]
}
