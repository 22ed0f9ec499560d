// Numbers as the console shows them: never without their unit.

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** One decimal under 10: "2.1", "38", "1,204". */
export function amount(value: number): string {
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Units of 1,000: "2.1 GB". */
export function bytes(value: number): string {
  let unit = 0
  let left = value
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1000
    unit += 1
  }
  return `${amount(left)} ${UNITS[unit]}`
}

/** Both in the unit of the whole: "2.1 of 4 GB" needs "2.1" and "4 GB". */
export function bytesOf(part: number, whole: number): [string, string] {
  const unit = Math.min(Math.floor(Math.log10(Math.max(whole, 1)) / 3), UNITS.length - 1)
  const scale = 1000 ** unit
  return [amount(part / scale), `${amount(whole / scale)} ${UNITS[unit]}`]
}
