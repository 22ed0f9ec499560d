// Times and durations in words: two units at most, and the exact time in a tooltip.
import type { TFunction } from 'i18next'

const STEPS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const
const NOW_SECONDS = 5

/** "48 s", "1 min 24 s", "6 d 4 h". */
export function duration(t: TFunction, ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const at = STEPS.findIndex(([, size]) => seconds >= size)
  const [unit, size] = STEPS[at] ?? STEPS[3]
  const words = [t(`time.${unit}`, { n: Math.floor(seconds / size) })]
  const below = STEPS[at + 1]
  const rest = below ? Math.floor((seconds % size) / below[1]) : 0
  if (below && rest > 0) words.push(t(`time.${below[0]}`, { n: rest }))
  return words.join(' ')
}

/** "now", "6 min ago". */
export function ago(t: TFunction, at: string | null | undefined, now: number): string {
  if (!at) return t('time.never')
  const ms = now - Date.parse(at)
  if (ms < NOW_SECONDS * 1000) return t('time.now')
  const seconds = ms / 1000
  const [unit, size] = STEPS.find(([, one]) => seconds >= one) ?? STEPS[3]
  return t('time.ago', { duration: t(`time.${unit}`, { n: Math.floor(seconds / size) }) })
}

/** "02:11:48" today, "28 Nov 23:40" before. */
export function clock(at: string | number, now: number, language: string): string {
  const time = new Date(at)
  const isToday = time.toDateString() === new Date(now).toDateString()
  const locale = language === 'zh' ? 'zh-CN' : 'en-GB'
  if (isToday) return time.toLocaleTimeString(locale, { hour12: false })
  const parts = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hour12: false } as const
  return time.toLocaleString(locale, parts).replace(',', '')
}

/** With the zone, for a tooltip. */
export function exact(at: string): string {
  return new Date(at).toLocaleString('sv-SE', { timeZoneName: 'short' })
}
