import type { PageView } from '../../../src/admin/page-view.ts'
import type { Selection } from './model.ts'

/** What a drawing is given. */
export interface MapProps {
  readonly view: PageView
  readonly selected: Selection
  readonly select: (selection: Selection) => void
}

/** What makes an element of a drawing a button: for mouse, keyboard and screen readers. */
export function pressable(label: string, press: () => void) {
  return {
    role: 'button' as const,
    tabIndex: 0,
    'aria-label': label,
    onClick: press,
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key !== 'Enter' && event.key !== ' ') return
      event.preventDefault()
      press()
    },
  }
}
