// What the console asks about events.
import { infiniteQueryOptions } from '@tanstack/react-query'
import { type Answer, answer, client } from '../../api/client'
import type { EventList } from '../../api/schema'

export interface EventSearch {
  instance?: string
  node?: string
  run?: string
}

const PAGE_ROWS = 50

export const eventsQuery = (search: EventSearch) =>
  infiniteQueryOptions({
    queryKey: ['event', 'list', search],
    queryFn: ({ pageParam }: { pageParam: string }) => {
      const query = { ...search, limit: PAGE_ROWS, ...(pageParam ? { cursor: pageParam } : {}) }
      // The route answers with a stream too, of which the types tell nothing.
      return answer(client.GET('/api/v1/events', { params: { query } }) as Answer<EventList>)
    },
    initialPageParam: '',
    getNextPageParam: (page: EventList) => page.next_cursor,
    maxPages: 20,
  })
