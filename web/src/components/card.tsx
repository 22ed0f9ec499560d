// A row of a list on a phone: the icon of its state, its name, a line about it, and a value at the right.
import type { ReactNode } from 'react'
import classes from './card.module.css'
import { Icon } from './icon'
import { type Kind, lookOf } from './states'

interface Props {
  kind: Kind
  state: string
  title: ReactNode
  detail: ReactNode
  right?: ReactNode
}

export function Card({ kind, state, title, detail, right }: Props) {
  const { icon, color, spins } = lookOf(kind, state)
  return (
    <div className={classes['card']}>
      <Icon name={icon} color={color} spins={spins ?? false} />
      <div className={classes['words']}>
        <div className="name cut">{title}</div>
        <div className={`${classes['detail']} cut`}>{detail}</div>
      </div>
      <div className="soft">{right}</div>
    </div>
  )
}
