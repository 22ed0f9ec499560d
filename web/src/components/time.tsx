// Times in words that go on by themselves, with the exact time in the tooltip.
import { useTranslation } from 'react-i18next'
import { useNow } from '../format/now'
import { ago, clock, duration, exact } from '../format/times'

interface Props {
  at: string | null
}

export function Ago({ at }: Props) {
  const { t } = useTranslation()
  const words = ago(t, at, useNow())
  return at ? (
    <time dateTime={at} title={exact(at)}>
      {words}
    </time>
  ) : (
    <span>{words}</span>
  )
}

/** `inWords` stands behind a state: "for 6 d 4 h". */
export function For({ at, inWords }: Props & { inWords?: boolean }) {
  const { t } = useTranslation()
  const now = useNow()
  if (!at) return <span className="faint">{t('table.none')}</span>
  const words = duration(t, now - Date.parse(at))
  return (
    <time dateTime={at} title={exact(at)}>
      {inWords ? t('time.for', { duration: words }) : words}
    </time>
  )
}

export function Clock({ at }: { at: string }) {
  const { i18n } = useTranslation()
  return (
    <time dateTime={at} title={exact(at)}>
      {clock(at, useNow(), i18n.language)}
    </time>
  )
}
