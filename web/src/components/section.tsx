// A part of a page with its title, and a word about how much is in it.
import { type ReactNode, useId } from 'react'
import classes from './section.module.css'

interface Props {
  title: string
  count?: ReactNode
  right?: ReactNode
  children: ReactNode
}

export function Section({ title, count, right, children }: Props) {
  const id = useId()
  return (
    <section aria-labelledby={id}>
      <div className={classes['head']}>
        <h2 id={id}>{title}</h2>
        <span className="faint">{count}</span>
        <span className={classes['right']}>{right}</span>
      </div>
      {children}
    </section>
  )
}
