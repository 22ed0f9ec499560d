// Whether somebody is signed in, as the answers of the server tell. One place, which the pages watch.
import { useSyncExternalStore } from 'react'

type SessionState = 'unknown' | 'in' | 'out'

let state: SessionState = 'unknown'
let csrfToken = ''
const watchers = new Set<() => void>()

export function sessionState(): SessionState {
  return state
}

export function csrf(): string {
  return csrfToken
}

export function setSession(now: SessionState, token = ''): void {
  csrfToken = token
  if (state === now) return
  state = now
  for (const watcher of watchers) watcher()
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

export function useSessionState(): SessionState {
  return useSyncExternalStore(watch, sessionState)
}
