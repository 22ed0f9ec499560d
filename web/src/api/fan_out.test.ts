import { QueryClient } from '@tanstack/react-query'
import { beforeEach, expect, test, vi } from 'vitest'
import { fanOut, stemsOf, TOGETHER_MS } from './fan_out'
import type { Event } from './schema'

const event = (fields: Partial<Event>) => ({ kind: '', node: '', run: '', instance: '', ...fields }) as Event
const sent = (fields: Partial<Event>) => ({ id: '1', kind: 'event', data: JSON.stringify(event(fields)) })

beforeEach(() => {
  vi.useFakeTimers()
})

test('an event names what it changes', () => {
  expect(stemsOf(event({ kind: 'step.running', run: 'r', node: 'n' }))).toEqual(new Set(['event', 'run', 'node']))
  expect(stemsOf(event({ kind: 'instance.ready', instance: 'i' }))).toEqual(new Set(['event', 'instance']))
})

test('many events make stale what they name, once, and nothing else', () => {
  const queries = new QueryClient()
  for (const key of ['instance', 'node', 'run']) queries.setQueryData([key, 'list'], [])
  const invalidate = vi.spyOn(queries, 'invalidateQueries')
  const listener = fanOut(queries)
  for (let count = 0; count < 100; count++) listener.onEvent(sent({ kind: 'instance.ready', instance: 'i' }))
  vi.advanceTimersByTime(TOGETHER_MS)
  expect(invalidate).toHaveBeenCalledTimes(1)
  const isStale = (key: string) => queries.getQueryState([key, 'list'])?.isInvalidated
  expect([isStale('instance'), isStale('node'), isStale('run')]).toEqual([true, false, false])
})

test('a gap makes everything stale', () => {
  const queries = new QueryClient()
  queries.setQueryData(['node', 'list'], [])
  fanOut(queries).onEvent({ id: '9', kind: 'gap', data: '{}' })
  expect(queries.getQueryState(['node', 'list'])?.isInvalidated).toBe(true)
})
