// A list that has not come yet. It shows itself only when the answer takes its time.
import { useTranslation } from 'react-i18next'
import classes from './loading.module.css'

const ROWS = [0, 1, 2]

export function Loading() {
  const { t } = useTranslation()
  return (
    <div className={`panel ${classes['loading']}`} role="status" aria-label={t('app.loading')}>
      {ROWS.map((row) => (
        <div key={row} className={classes['row']} />
      ))}
    </div>
  )
}
