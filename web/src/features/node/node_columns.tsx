// The columns of a list of nodes, and the same as a card on a phone.
import type { TFunction } from 'i18next'
import { useTranslation } from 'react-i18next'
import type { Node } from '../../api/schema'
import { Card } from '../../components/card'
import type { Column } from '../../components/data_table'
import { Icon } from '../../components/icon'
import { Meter } from '../../components/meter'
import { State } from '../../components/state'
import { Ago } from '../../components/time'
import { amount, percent } from '../../format/numbers'
import classes from './node.module.css'
import { stateOf, vitalsOf } from './node_queries'

export function nodeColumns(t: TFunction): Column<Node>[] {
  const none = <span className="faint">{t('table.none')}</span>
  return [
    { key: 'node', head: t('node.node'), cell: (row) => <span className="name">{row.id}</span>, width: '12%' },
    { key: 'state', head: t('node.state'), cell: (row) => <NodeState node={row} />, width: '19%' },
    { key: 'labels', head: t('node.labels'), cell: (row) => <Labels labels={row.labels} />, width: '14%' },
    ...vitalColumns(t),
    {
      key: 'promised',
      head: t('node.promised'),
      cell: (row) => <Promised node={row} t={t} />,
      wide: true,
      width: '11%',
      right: true,
    },
    {
      key: 'agent',
      head: t('node.agent'),
      wide: true,
      cell: (row) => row.agent_version || none,
      width: '6%',
      right: true,
    },
    { key: 'seen', head: t('node.seen'), cell: (row) => <Seen node={row} />, width: '10%', right: true },
  ]
}

/** What the node measured within the last minute. */
export function vitalColumns(t: TFunction): Column<Node>[] {
  return (['cpu', 'memory', 'disk'] as const).map((key) => ({
    key,
    head: t(`node.${key}`),
    cell: (row: Node) => <Vital label={t(`node.${key}`)} share={vitalsOf(row)[key]} />,
    width: '10%',
  }))
}

export function NodeState({ node }: { node: Node }) {
  return (
    <span className={classes['state']}>
      <State kind="node" state={stateOf(node)} />
      {node.conditions.map((condition) => (
        <span key={condition.type} className={classes['condition']} title={condition.reason}>
          <Icon name="warn" color="amber" />
          {condition.type}
        </span>
      ))}
    </span>
  )
}

export function NodeCard({ node, t }: { node: Node; t: TFunction }) {
  const detail = [t(`state.node.${stateOf(node)}` as 'state.node.online'), ...node.conditions.map((one) => one.type)]
  return (
    <Card kind="node" state={stateOf(node)} title={node.id} detail={detail.join(', ')} right={<Seen node={node} />} />
  )
}

/** Of a node that is there the server notes the time now and then alone. */
export function Seen({ node }: { node: Node }) {
  const { t } = useTranslation()
  return node.status === 'online' ? <span>{t('time.now')}</span> : <Ago at={node.last_seen_at} />
}

function Labels({ labels }: { labels: Node['labels'] }) {
  const words = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
  return <span className="soft">{words.join(', ') || <span className="faint">—</span>}</span>
}

function Promised({ node, t }: { node: Node; t: TFunction }) {
  const share = node.room?.cpus
  if (!share?.capacity) return <span className="faint">{t('table.none')}</span>
  return <>{t('node.of_all', { used: amount(share.reserved), all: amount(share.capacity) })}</>
}

interface VitalProps {
  label: string
  share: number | null
}

export function Vital({ label, share }: VitalProps) {
  return (
    <Meter share={share} label={share === null ? label : `${label} ${percent(share)}`}>
      <span className={classes['share']}>{share !== null && percent(share)}</span>
    </Meter>
  )
}
