import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { type RequestHandler, Router } from 'express'
import type { PageView } from './page-view.ts'

/*
 * The page, for browsers: read-only, and nothing on it comes from elsewhere. A browser is also
 * where scripts of others run, so answers are for pages of this address only.
 */

/**
 * `GET /`: the page, one file, which a checkout does not have built. `GET /view`: what it shows,
 * asked again and again.
 */
export function pageRoutes(file: URL, view: () => PageView): Router {
  const router = Router()
  router.get('/', ownNameOnly, (_request, response, next) => {
    readFile(file, 'utf8').then(
      (html) => {
        response.set(headers).set('Content-Security-Policy', policyOf(html)).type('html').send(html)
      },
      () => next(),
    )
  })
  router.get('/view', ownNameOnly, (_request, response) => {
    response.set(headers).json(view())
  })
  return router
}

/**
 * Refuses requests for names that others can lead to this address (DNS rebinding): those of the
 * public DNS, which have a dot. Left are addresses, `localhost` and names as `host1`.
 */
export const ownNameOnly: RequestHandler = (request, response, next) => {
  const name = (request.headers.host ?? '').replace(/:\d+$/, '')
  const address = name.replaceAll(/^\[|\]$/g, '')
  if (isIP(address) !== 0 || /^[\w-]+$/.test(name)) return next()
  response.status(421).type('text')
  response.send(
    'this address is not served under that name: use the address, or a name without dot\n',
  )
}

const headers = {
  'Cache-Control': 'no-cache',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** Allows the scripts and styles that the page is built with, requests to here, and no more. */
function policyOf(html: string): string {
  const hashes = (tag: string): string =>
    Array.from(html.matchAll(new RegExp(`<${tag}\\b[^>]*>(.*?)</${tag}>`, 'gs')), ([, text]) => {
      return `'sha256-${createHash('sha256').update(text!).digest('base64')}'`
    }).join(' ')
  return [
    "default-src 'none'",
    `script-src ${hashes('script')}`,
    `style-src ${hashes('style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
