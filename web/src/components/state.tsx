// A state: its icon and its word, always both. Green and blue colour the icon alone, amber and red the word too.
import { useTranslation } from 'react-i18next'
import { Icon } from './icon'
import classes from './state.module.css'
import { type Kind, lookOf } from './states'

interface Props {
  kind: Kind
  state: string
  badge?: boolean
  /** Words alone, where the icon stands beside them already. */
  bare?: boolean
}

export function State({ kind, state, badge = false, bare = false }: Props) {
  const { t } = useTranslation()
  const { icon, color, spins } = lookOf(kind, state)
  // The keys are held by a test; a state of a newer server is shown as it is.
  const words = t(`state.${kind}.${state}` as 'state.run.queued', { defaultValue: state })
  return (
    <span className={badge ? classes['badge'] : classes['state']} data-color={color}>
      {!bare && <Icon name={icon} color={color} spins={spins ?? false} />}
      <span>{words}</span>
    </span>
  )
}
