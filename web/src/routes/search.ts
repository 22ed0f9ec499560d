// Reads what stands behind the ? of an address: anybody may have written it.

/** A text; nothing for all else. The router reads digits as a number. */
export function text(given: unknown): string | undefined {
  if (typeof given === 'number') return String(given)
  return typeof given === 'string' && given !== '' ? given : undefined
}

export function list<T extends string>(given: unknown): T[] | undefined {
  const items = (Array.isArray(given) ? given : [given]).map(text).filter((item) => item !== undefined)
  return items.length > 0 ? (items as T[]) : undefined
}
