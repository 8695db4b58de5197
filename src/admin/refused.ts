import type { NextFunction, Response } from 'express'
import { OverlayError } from '../base/errors.ts'

/**
 * Answers what the plugin refuses or fails to do with 409, `error` and `code`; a bug goes to
 * `next`.
 */
export function refusedOr(response: Response, next: NextFunction): (error: unknown) => void {
  return (error) => {
    if (error instanceof OverlayError)
      response.status(409).json({ error: error.message, code: error.code })
    else next(error)
  }
}
