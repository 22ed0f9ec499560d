// Beginning and ending a session.
import { answer, client } from './client'
import type { SignedIn, SignIn } from './schema'
import { setSession } from './session_state'

export async function signIn(claim: SignIn): Promise<SignedIn> {
  const begun = await answer(client.POST('/api/v1/sign-in', { body: claim }))
  setSession('in', begun.csrf_token)
  return begun
}

const LINK = '#sign-in='

/** Signs in by the link in the address, and takes it out of there: it is good once, and belongs in no history. Returns
 * what went wrong. */
export async function signInByAddress(): Promise<unknown> {
  const { hash, pathname, search } = window.location
  if (!hash.startsWith(LINK)) return undefined
  window.history.replaceState(null, '', pathname + search)
  try {
    const link = hash.slice(LINK.length)
    const begun = await answer(client.POST('/api/v1/sign-in/link', { body: { link } }))
    setSession('in', begun.csrf_token)
    return undefined
  } catch (error) {
    return error
  }
}

export async function signOut(): Promise<void> {
  await answer(client.POST('/api/v1/sign-out'))
  setSession('out')
}
