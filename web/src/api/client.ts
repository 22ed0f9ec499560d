// The one way to ask the server: typed by its own OpenAPI document, with the session's CSRF token.
import createClient, { type Middleware } from 'openapi-fetch'
import { Problem, problemOf } from './problem'
import type { paths } from './schema'
import { csrf, setSession } from './session_state'

const SIGN_IN = '/api/v1/sign-in'
const READS = new Set(['GET', 'HEAD'])

const session: Middleware = {
  onRequest({ request }) {
    if (!READS.has(request.method) && csrf()) request.headers.set('X-CSRF-Token', csrf())
    return request
  },
  onResponse({ request, response }) {
    const isSignIn = new URL(request.url).pathname.startsWith(SIGN_IN)
    if (response.status === 401 && !isSignIn) setSession('out')
  },
}

export const client = createClient<paths>({ baseUrl: '/', credentials: 'same-origin' })
client.use(session)

export type Answer<T> = Promise<{ data?: T; error?: unknown; response: Response }>

/** What was asked for. Throws a Problem for everything else; its status is 0 where nobody answered. */
export async function answer<T>(asked: Answer<T>): Promise<T> {
  const { data, error, response } = await asked.catch((cause: unknown) => {
    throw new Problem(0, cause instanceof Error ? cause.message : String(cause), 'not_reached')
  })
  if (!response.ok) throw problemOf(response.status, error)
  return data as T
}
