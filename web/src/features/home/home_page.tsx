// Home: what moves now, then the game servers where they are few, then the fleet.
import { useTranslation } from 'react-i18next'
import { Page } from '../shell/page'
import { Fleet } from './fleet'
import { MovingNow } from './moving_now'
import { Servers } from './servers'

export function HomePage() {
  const { t } = useTranslation()
  return (
    <Page title={t('nav.home')}>
      <MovingNow />
      <Servers />
      <Fleet />
    </Page>
  )
}
