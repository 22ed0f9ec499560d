// An old page against a new server: what it asks for may be gone, so it offers to load the new one.
import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { useWho } from '../../api/who'
import { Icon } from '../../components/icon'
import classes from './shell.module.css'

export function NewerConsole() {
  const { t } = useTranslation()
  const theirs = useWho()?.web_build ?? ''
  if (__BUILD__ === '' || theirs === '' || theirs === __BUILD__) return null
  return (
    <div className={classes['newer']} role="status">
      <Icon name="restart" color="blue" />
      <span>{t('app.newer')}</span>
      <Button variant="default" size="compact-sm" onClick={() => window.location.reload()}>
        {t('app.reload')}
      </Button>
    </div>
  )
}
