// What the console asks about instances.
import { queryOptions } from '@tanstack/react-query'
import { answer, client } from '../../api/client'
import type { Instance, InstanceState } from '../../api/schema'

export interface InstanceSearch {
  prefix?: string
  state?: InstanceState[]
  node?: string
  cursor?: string
}

export const PAGE_ROWS = 50

export const instancesQuery = (search: InstanceSearch, limit = PAGE_ROWS) =>
  queryOptions({
    queryKey: ['instance', 'list', search, limit],
    queryFn: () => answer(client.GET('/api/v1/instances', { params: { query: { ...search, limit } } })),
  })

export const instanceQuery = (id: string) =>
  queryOptions({
    queryKey: ['instance', 'one', id],
    queryFn: () => answer(client.GET('/api/v1/instances/{instance_id}', { params: { path: { instance_id: id } } })),
    placeholderData: undefined,
  })

const METRIC_STEP = 60
const METRIC_AGAIN_MS = 30_000 // measurements are no events

export const instanceMetricsQuery = (id: string) =>
  queryOptions({
    queryKey: ['metric', 'instance', id],
    queryFn: () =>
      answer(
        client.GET('/api/v1/instances/{instance_id}/metrics', {
          params: { path: { instance_id: id }, query: { step: METRIC_STEP } },
        }),
      ),
    refetchInterval: METRIC_AGAIN_MS,
    placeholderData: undefined,
  })

export type PowerAction = 'start' | 'restart' | 'stop' | 'kill'

const WAYS = {
  start: '/api/v1/instances/{instance_id}/start',
  restart: '/api/v1/instances/{instance_id}/restart',
  stop: '/api/v1/instances/{instance_id}/stop',
  kill: '/api/v1/instances/{instance_id}/kill',
} as const

export function askPower(id: string, action: PowerAction): Promise<Instance> {
  return answer(client.POST(WAYS[action], { params: { path: { instance_id: id } } }))
}
