// A list of things: a table with room, cards on a phone. The whole row leads to its thing by the link in its name.
import { useMediaQuery } from '@mantine/hooks'
import type { ReactNode } from 'react'
import classes from './data_table.module.css'

export const PHONE = '(max-width: 48em)'

export interface Column<Row> {
  key: string
  head: string
  cell: (row: Row) => ReactNode
  width?: string
  right?: boolean
  /** Left out where there is not room for all. */
  wide?: boolean
}

interface Props<Row> {
  label: string
  rows: readonly Row[]
  columns: readonly Column<Row>[]
  rowKey: (row: Row) => string
  card: (row: Row) => ReactNode
  isStale?: (row: Row) => boolean
  dense?: boolean
}

export function DataTable<Row>({ label, rows, columns, rowKey, card, isStale, dense }: Props<Row>) {
  const isPhone = useMediaQuery(PHONE, window.matchMedia(PHONE).matches)
  if (isPhone) {
    return (
      <ul className={`panel ${classes['cards']}`} aria-label={label}>
        {rows.map((row) => (
          <li key={rowKey(row)} data-stale={isStale?.(row) || undefined}>
            {card(row)}
          </li>
        ))}
      </ul>
    )
  }
  return (
    <div className="panel">
      <table className={classes['table']} aria-label={label} data-dense={dense || undefined}>
        <colgroup>
          {columns.map((column) => (
            <col key={column.key} width={column.width} data-wide={column.wide || undefined} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                data-right={column.right || undefined}
                data-wide={column.wide || undefined}
              >
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} data-stale={isStale?.(row) || undefined}>
              {columns.map((column) => (
                <td key={column.key} data-right={column.right || undefined} data-wide={column.wide || undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
