import { type Server, type Socket, connect, createServer } from 'node:net'

/**
 * When the connection of a call breaks: before the plugin has heard of it, or after it has done it.
 */
export type BreakPoint = 'before' | 'after'

/** A unix socket in front of the plugin's, which breaks a connection when it is told to. */
export class BreakingProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #armed: { readonly call: string; readonly point: BreakPoint } | null = null

  private constructor(upstream: string) {
    this.#server = createServer((engine) => this.#serve(engine, upstream))
  }

  static async listen(path: string, upstream: string): Promise<BreakingProxy> {
    const proxy = new BreakingProxy(upstream)
    await new Promise<void>((resolve) => proxy.#server.listen(path, resolve))
    return proxy
  }

  /** Breaks the connection of the next call with that name. */
  arm(call: string, point: BreakPoint): void {
    this.#armed = { call, point }
  }

  /** Whether the call that was to break has come. */
  get hasBroken(): boolean {
    return this.#armed === null
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(engine: Socket, upstream: string): void {
    const plugin = connect(upstream)
    let broken: BreakPoint | null = null
    const end = (): void => {
      engine.destroy()
      plugin.destroy()
    }
    for (const socket of [engine, plugin]) {
      this.#sockets.add(socket)
      socket.on('error', end).on('close', () => {
        this.#sockets.delete(socket)
        end()
      })
    }
    engine.on('data', (chunk) => {
      if (
        this.#armed !== null &&
        chunk.toString('latin1').startsWith(`POST /${this.#armed.call} `)
      ) {
        broken = this.#armed.point
        this.#armed = null
      }
      if (broken === 'before') end()
      else plugin.write(chunk)
    })
    plugin.on('data', (chunk) => {
      if (broken === null) engine.write(chunk)
      else end()
    })
  }
}
