import { expect, test } from 'vitest'
import en from '../i18n/en.json'
import { lookOf, STATES } from './states'

test('every state has a word, and every word a look', () => {
  for (const [kind, states] of Object.entries(STATES)) {
    const words = (en.state as Record<string, Record<string, string>>)[kind]
    expect([kind, Object.keys(states).sort()]).toEqual([kind, Object.keys(words ?? {}).sort()])
  }
})

test('a state that a newer server knows is told as not known', () => {
  expect(lookOf('run', 'dreaming').icon).toBe('unknown')
})
