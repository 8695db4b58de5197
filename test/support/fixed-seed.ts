/**
 * Properties draw the same values in every run, so that a change is never blamed for a rare case
 * that was there before. `SEED=…` draws others; `make hunt` tries many.
 */
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env['SEED'] ?? 1) })
