// What the console asks about nodes.
import { queryOptions } from '@tanstack/react-query'
import { answer, client } from '../../api/client'
import type { Node, NodeStatus } from '../../api/schema'

export interface NodeSearch {
  status?: NodeStatus
  label?: string
  cursor?: string
}

export const PAGE_ROWS = 100
const VITALS_MS = 15_000 // measurements are no events

export const nodesQuery = (search: NodeSearch, limit = PAGE_ROWS) =>
  queryOptions({
    queryKey: ['node', 'list', search, limit],
    queryFn: () => answer(client.GET('/api/v1/nodes', { params: { query: { ...search, limit } } })),
    refetchInterval: VITALS_MS,
  })

/** One word for a node: what its operator decided, where that is not the usual, else whether it is there. */
export function stateOf(node: Node): string {
  return node.mode === 'active' || node.status !== 'online' ? node.status : node.mode
}

const TROUBLE: Record<string, number> = { offline: 0, suspect: 1, never_seen: 4, disabled: 5 }

/** Trouble first: what is away, what has a condition, what is kept from work, and then the others. */
export function troubleFirst(nodes: readonly Node[]): Node[] {
  const rank = (node: Node) => TROUBLE[stateOf(node)] ?? (node.conditions.length > 0 ? 2 : 3)
  return [...nodes].sort((one, other) => rank(one) - rank(other) || one.id.localeCompare(other.id))
}

interface Vitals {
  cpu: number | null
  memory: number | null
  disk: number | null
}

/** Shares of the whole, of what the node measured within the last minute. */
export function vitalsOf({ vitals = {} }: Pick<Node, 'vitals'>): Vitals {
  const part = (value: number | undefined, whole: number) => (value === undefined || !whole ? null : value / whole)
  const used = vitals['memory_used_bytes']
  return {
    cpu: part(vitals['cpu_percent'], 100),
    memory: part(used, (used ?? 0) + (vitals['memory_available_bytes'] ?? 0)),
    disk: part(vitals['disk_used_percent'], 100),
  }
}
