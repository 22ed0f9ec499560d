// An icon of the sprite icons.svg. It is never alone: words stand beside it, or are its label.
import classes from './icon.module.css'
import sprite from './icons.svg'

export type IconName =
  | 'ok'
  | 'fail'
  | 'error'
  | 'warn'
  | 'suspect'
  | 'run'
  | 'pull'
  | 'start'
  | 'pend'
  | 'wait'
  | 'ask'
  | 'hold'
  | 'pause'
  | 'cancel'
  | 'skip'
  | 'person'
  | 'idle'
  | 'moon'
  | 'stop'
  | 'stopping'
  | 'save'
  | 'crash'
  | 'unknown'
  | 'create'
  | 'trash'
  | 'offline'
  | 'wrench'
  | 'belloff'
  | 'eye'
  | 'nodata'
  | 'home'
  | 'inst'
  | 'runs'
  | 'pipe'
  | 'clock'
  | 'node'
  | 'bell'
  | 'list'
  | 'set'
  | 'search'
  | 'copy'
  | 'down'
  | 'right'
  | 'left'
  | 'dots'
  | 'dl'
  | 'plus'
  | 'x'
  | 'cols'
  | 'follow'
  | 'check'
  | 'power'
  | 'restart'
  | 'sortd'
  | 'star'
  | 'send'
  | 'gap'
  | 'link'
  | 'term'

export type Color = 'green' | 'blue' | 'amber' | 'red' | 'grey'

interface Props {
  name: IconName
  color?: Color
  spins?: boolean
  large?: boolean
}

export function Icon({ name, color, spins = false, large = false }: Props) {
  return (
    <svg
      className={classes['icon']}
      data-color={color}
      data-spins={spins || undefined}
      data-large={large || undefined}
      aria-hidden="true"
    >
      <use href={`${sprite}#${name}`} />
    </svg>
  )
}
