// The frame of all pages: nobody sees one without a session, and a session that ends leaves the page as it is.
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useEffect, useMemo } from 'react'
import { fanOut } from '../api/fan_out'
import { LiveLink } from '../api/live'
import { isAway } from '../api/problem'
import { useSessionState } from '../api/session_state'
import { whoQuery } from '../api/who'
import { Trouble } from '../components/trouble'
import { SignInOver, SignInPage } from '../features/session/sign_in_page'
import { LinkContext } from '../features/shell/link_context'
import { Shell } from '../features/shell/shell'

const rootRoute = getRouteApi('__root__')

export function Root() {
  const { trouble } = rootRoute.useRouteContext()
  const queries = useQueryClient()
  const live = useMemo(() => new LiveLink(fanOut(queries)), [queries])
  const who = useQuery(whoQuery)
  const session = useSessionState()
  useEffect(() => (session === 'in' ? live.start() : undefined), [live, session])
  if (who.data) {
    return (
      <LinkContext value={live}>
        <Shell inert={session === 'out'} />
        {session === 'out' && <SignInOver />}
      </LinkContext>
    )
  }
  if (session === 'out') return <SignInPage trouble={trouble} />
  return <main>{isAway(who.error) && <Trouble error={who.error} />}</main>
}
