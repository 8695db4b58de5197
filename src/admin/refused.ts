import type { NextFunction, Response } from 'express'
import { OverlayError } from '../base/errors.ts'

const notFound = 404
const conflict = 409

/**
 * Answers what the plugin refuses or fails to do with `error` and `code`: 404 for a member that the
 * cluster does not have, else 409; a bug goes to `next`.
 */
export function refusedOr(response: Response, next: NextFunction): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof OverlayError)) return next(error)
    const { code, message } = error
    response.status(code === 'MEMBER_UNKNOWN' ? notFound : conflict).json({ error: message, code })
  }
}
