import path from 'node:path'

/** The checkout. */
export const projectDir = path.resolve(import.meta.dirname, '..')
