// The last hour of a value, as a line without axes: its words stand beside it.
import classes from './spark.module.css'

const WIDTH = 96
const HEIGHT = 20

interface Props {
  values: readonly number[]
  most: number
}

export function Spark({ values, most }: Props) {
  if (values.length < 2) return null
  const x = (at: number) => (at / (values.length - 1)) * WIDTH
  const y = (value: number) => HEIGHT - 1 - (Math.min(value, most) / most) * (HEIGHT - 2)
  const line = values.map((value, at) => `${at === 0 ? 'M' : 'L'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join('')
  return (
    <svg className={classes['spark']} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <path className={classes['area']} d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />
      <path className={classes['line']} d={line} />
    </svg>
  )
}
