/** Scales all time-outs of mocha's, wherever they are set: see `time.ts`. */
import Mocha from 'mocha'
import { scaled } from './time.ts'

type Timeout = (this: Mocha.Runnable, ...ms: number[]) => unknown

const runnable = Mocha.Runnable.prototype as unknown as { timeout: Timeout }
const { timeout } = runnable

runnable.timeout = function (...ms) {
  return timeout.apply(this, ms.map(scaled))
}
