// An error of the server, as RFC 9457 tells it, or of the way to it.

export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly hint: string

  constructor(status: number, message: string, code = '', hint = '') {
    super(message)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.hint = hint
  }
}

/** The server can't be reached, or is not ready. */
export function isAway(error: unknown): boolean {
  return !(error instanceof Problem) || error.status === 0 || error.status >= 502
}

export function problemOf(status: number, body: unknown): Problem {
  const told = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  const word = (name: string) => (typeof told[name] === 'string' ? (told[name] as string) : '')
  const first = Array.isArray(told['problems'])
    ? (told['problems'][0] as Record<string, unknown> | undefined)
    : undefined
  const message = [word('detail'), typeof first?.['message'] === 'string' ? first['message'] : ''].filter(Boolean)
  return new Problem(status, message.join(': ') || word('title') || `HTTP ${status}`, word('code'), word('hint'))
}
