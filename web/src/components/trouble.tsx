// An error in place: what the server said, and what to do about it.
import { useTranslation } from 'react-i18next'
import { isAway, Problem } from '../api/problem'
import { Icon } from './icon'
import classes from './trouble.module.css'

interface Props {
  error: unknown
}

export function Trouble({ error }: Props) {
  const { t } = useTranslation()
  if (!error) return null
  const hint = error instanceof Problem ? error.hint : ''
  const message = isAway(error) ? t('app.not_reached') : error instanceof Error ? error.message : String(error)
  return (
    <div className={classes['trouble']} role="alert">
      <Icon name="fail" color="red" />
      <div>
        <div>{message}</div>
        {hint && <div className="soft">{hint}</div>}
      </div>
    </div>
  )
}
