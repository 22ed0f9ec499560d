// From events to what they make stale. Many at once are taken together, so that a storm costs one question each.
import type { QueryClient } from '@tanstack/react-query'
import type { ServerEvent } from './event_stream'
import type { Listener } from './live'
import type { Event } from './schema'

export const TOGETHER_MS = 200
const OBJECTS = ['node', 'instance', 'run'] as const

export function stemsOf(event: Event): Set<string> {
  const subject = event.kind.split('.')[0] ?? ''
  const stems = new Set(['event', subject === 'step' || subject === 'container' ? 'run' : subject])
  for (const object of OBJECTS) if (event[object]) stems.add(object)
  return stems
}

/** Makes stale what an event tells of. The first part of a query's key is the stem. */
export function fanOut(queries: QueryClient): Listener {
  const stale = new Set<string>()
  let isWaiting = false

  function tellTogether(): void {
    isWaiting = false
    const stems = new Set(stale)
    stale.clear()
    void queries.invalidateQueries({ predicate: (query) => stems.has(String(query.queryKey[0])) })
  }

  function everything(): void {
    void queries.invalidateQueries()
  }

  return {
    // The server may be another version by now: who asks is asked again in any case.
    onOpen: (isResumed) => (isResumed ? void queries.invalidateQueries({ queryKey: ['whoami'] }) : everything()),
    onEvent(event: ServerEvent) {
      if (event.kind !== 'event') {
        everything() // a gap, or a refusal
        return
      }
      for (const stem of stemsOf(JSON.parse(event.data) as Event)) stale.add(stem)
      if (!isWaiting) setTimeout(tellTogether, TOGETHER_MS)
      isWaiting = true
    },
  }
}
