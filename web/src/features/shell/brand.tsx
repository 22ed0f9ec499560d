// The mark and the name.
import { useTranslation } from 'react-i18next'

const TOWER = 'M3 2h3v2.5h2.4V2h3.2v2.5H14V2h3v6l-1.6 1.6V18h-3.6v-3.4a1.8 1.8 0 0 0-3.6 0V18H4.6V9.6L3 8z'

export function Brand() {
  const { t } = useTranslation()
  return (
    <>
      <svg width="20" height="20" viewBox="0 0 20 20" fill="currentColor" aria-hidden="true">
        <path d={TOWER} />
      </svg>
      {t('app.name')}
    </>
  )
}
