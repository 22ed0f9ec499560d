// Who is signed in, and what they may do.
import { queryOptions, useQuery } from '@tanstack/react-query'
import { answer, client } from './client'
import type { Verb, WhoAmI } from './schema'
import { setSession } from './session_state'

export const whoQuery = queryOptions({
  queryKey: ['whoami'],
  queryFn: async (): Promise<WhoAmI> => {
    const who = await answer(client.GET('/api/v1/whoami'))
    setSession('in', who.csrf_token)
    return who
  },
  staleTime: Number.POSITIVE_INFINITY,
})

export function useWho(): WhoAmI | undefined {
  return useQuery(whoQuery).data
}

/** True for a verb that the user has on everything, or on something by a grant: then the server decides in each case. */
export function useMay(verb: Verb): boolean {
  const who = useWho()
  return who !== undefined && (who.verbs.includes(verb) || who.verbs_somewhere.includes(verb))
}
