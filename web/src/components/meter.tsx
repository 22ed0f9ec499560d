// How much of something is taken: a bar and its words. Amber from 90 %.
import type { ReactNode } from 'react'
import classes from './meter.module.css'

const HIGH = 0.9

interface Props {
  share: number | null
  label: string
  children?: ReactNode
}

export function Meter({ share, label, children }: Props) {
  if (share === null || !Number.isFinite(share)) return <span className="faint">—</span>
  const bounded = Math.max(0, Math.min(1, share))
  return (
    <span className={classes['meter']} data-high={share >= HIGH || undefined}>
      <svg className={classes['bar']} viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={label}>
        <rect className={classes['ground']} width="100" height="4" />
        <rect className={classes['taken']} width={bounded * 100} height="4" />
      </svg>
      <span className={classes['words']}>{children}</span>
    </span>
  )
}
