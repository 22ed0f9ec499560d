// How the live link is: whether what the page shows is of now.
import { useTranslation } from 'react-i18next'
import type { LinkState as LinkStateWord } from '../../api/live'
import { type Color, Icon, type IconName } from '../../components/icon'
import { useNow } from '../../format/now'
import { clock, duration } from '../../format/times'
import { useLink } from './link_context'
import classes from './shell.module.css'

const LOOKS: Record<LinkStateWord, [IconName, Color, boolean]> = {
  connecting: ['run', 'grey', true],
  live: ['link', 'green', false],
  reconnecting: ['run', 'amber', true],
  lost: ['offline', 'red', false],
}

export function LinkState() {
  const { t, i18n } = useTranslation()
  const { state, since } = useLink()
  const now = useNow()
  const [icon, color, spins] = LOOKS[state]
  const words = {
    connecting: () => t('link.connecting'),
    live: () => t('link.live'),
    reconnecting: () => t('link.reconnecting', { age: duration(t, now - since) }),
    lost: () => t('link.lost', { clock: clock(since, now, i18n.language) }),
  }
  return (
    <span className={classes['link']} data-state={state} role={state === 'reconnecting' ? undefined : 'status'}>
      <Icon name={icon} color={color} spins={spins} />
      <span>{words[state]()}</span>
    </span>
  )
}
