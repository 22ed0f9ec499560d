// The app's one event stream, for those who show how it is.
import { createContext, useContext, useSyncExternalStore } from 'react'
import type { Link, LiveLink } from '../../api/live'

export const LinkContext = createContext<LiveLink | null>(null)

const CONNECTING: Link = { state: 'connecting', since: 0 }
const watchNothing = () => () => {}

export function useLink(): Link {
  const live = useContext(LinkContext)
  return useSyncExternalStore(live?.watch ?? watchNothing, live?.state ?? (() => CONNECTING))
}
