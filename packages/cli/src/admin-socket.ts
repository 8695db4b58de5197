import { request } from 'node:http'

/** Where the plugin listens for people on its host. */
export const socketDefault = '/run/docker/plugins/ts-overlay.sock'
/** Evicting waits for the other members; nothing takes longer, ms. */
const maxAnswerMs = 15_000

/** The plugin does not answer: it is disabled, away, or another user's. */
export class PluginAway extends Error {
  override readonly name = 'PluginAway'
}

/** The plugin refuses, or fails at what it was asked for. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

export type Method = 'GET' | 'POST' | 'DELETE'

/** The plugin's admin API on this host. */
export class AdminSocket {
  readonly path: string

  constructor(path: string = socketDefault) {
    this.path = path
  }

  /** Returns the answer's JSON. Rejects with PluginAway, or with Refused and the plugin's words. */
  async ask<T>(method: Method, path: string): Promise<T> {
    return JSON.parse(await this.text(method, path)) as T
  }

  /** The same as text. */
  text(method: Method, path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const away = (reason: string): void =>
        reject(new PluginAway(`${this.path}: ${reason}; is the plugin enabled on this host?`))
      const call = request({ socketPath: this.path, method, path }, (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('error', ({ message }) => away(message))
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8')
          if (answer.statusCode === 200) resolve(text)
          else reject(new Refused(reasonIn(text) ?? `status ${answer.statusCode}: ${text}`))
        })
      })
      call.setTimeout(maxAnswerMs, () =>
        call.destroy(new Error(`no answer within ${maxAnswerMs / 1000} s`)),
      )
      call.on('error', ({ message, code }: NodeJS.ErrnoException) => {
        if (code === 'EACCES')
          reject(new PluginAway(`${this.path}: only root can open it; use sudo`))
        else away(message)
      })
      call.end()
    })
  }
}

function reasonIn(text: string): string | null {
  try {
    const { error, code, Err } = JSON.parse(text) as { error?: string; code?: string; Err?: string }
    return error === undefined ? (Err ?? null) : `${error} [${code}]`
  } catch {
    return null
  }
}
