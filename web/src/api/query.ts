// The cache of what the server said. A key begins with the stem of its entity, so that an event can name what it changes.
import { keepPreviousData, QueryClient } from '@tanstack/react-query'
import { isAway } from './problem'

const MOST_RETRIES = 2

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000, // the event stream tells of changes before that
        networkMode: 'always', // the server may be on this very machine
        placeholderData: keepPreviousData,
        retry: (count, error) => isAway(error) && count < MOST_RETRIES,
      },
      mutations: { networkMode: 'always', retry: false },
    },
  })
}
