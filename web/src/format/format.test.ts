import i18next from 'i18next'
import { beforeAll, expect, test } from 'vitest'
import en from '../i18n/en.json'
import { amount, bytes, bytesOf, percent } from './numbers'
import { ago, clock, duration } from './times'

beforeAll(() => i18next.init({ lng: 'en', resources: { en: { translation: en } } }).then(() => {}))

test('numbers have one decimal under ten, and their unit', () => {
  expect([amount(2.14), amount(4), amount(38.4), amount(1204)]).toEqual(['2.1', '4', '38', '1,204'])
  expect([bytes(0), bytes(999), bytes(2_100_000_000)]).toEqual(['0 B', '999 B', '2.1 GB'])
  expect(bytesOf(2_100_000_000, 4_000_000_000)).toEqual(['2.1', '4 GB'])
  expect(percent(0.714)).toBe('71 %')
})

test.each([
  [0, '0 s'],
  [48_000, '48 s'],
  [84_000, '1 min 24 s'],
  [60_000, '1 min'],
  [(6 * 24 + 4) * 3_600_000, '6 d 4 h'],
])('%i ms are %s', (ms, words) => {
  expect(duration(i18next.t, ms)).toBe(words)
})

test('times that were', () => {
  const now = Date.parse('2026-11-29T02:18:00')
  expect(ago(i18next.t, '2026-11-29T02:17:58', now)).toBe('now')
  expect(ago(i18next.t, '2026-11-29T02:11:48', now)).toBe('6 min ago')
  expect(ago(i18next.t, null, now)).toBe('never')
  expect(clock('2026-11-29T02:11:48', now, 'en')).toBe('02:11:48')
  expect(clock('2026-11-28T23:40:00', now, 'en')).toBe('28 Nov 23:40')
})
