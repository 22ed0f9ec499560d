// Nothing is here: what it is, what to do first, and one button at most.
import type { ReactNode } from 'react'
import classes from './empty.module.css'
import { Icon, type IconName } from './icon'

interface Props {
  icon: IconName
  title: string
  hint?: string
  children?: ReactNode
}

export function Empty({ icon, title, hint, children }: Props) {
  return (
    <div className={`panel ${classes['empty']}`}>
      <span className="faint">
        <Icon name={icon} large />
      </span>
      <p className={classes['title']}>{title}</p>
      {hint && <p className="soft">{hint}</p>}
      {children}
    </div>
  )
}
