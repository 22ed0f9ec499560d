// Beginning and ending a session.
import { answer, client } from './client'
import type { SignedIn, SignIn } from './schema'
import { setSession } from './session_state'

export async function signIn(claim: SignIn): Promise<SignedIn> {
  const begun = await answer(client.POST('/api/v1/sign-in', { body: claim }))
  setSession('in', begun.csrf_token)
  return begun
}

export async function signOut(): Promise<void> {
  await answer(client.POST('/api/v1/sign-out'))
  setSession('out')
}
