// What Home asks about runs.
import { queryOptions } from '@tanstack/react-query'
import { answer, client } from '../../api/client'

const SHOWN = 20

export const openRunsQuery = queryOptions({
  queryKey: ['run', 'list', 'open'],
  queryFn: () =>
    answer(client.GET('/api/v1/runs', { params: { query: { state: ['queued', 'running', 'paused'], limit: SHOWN } } })),
})
