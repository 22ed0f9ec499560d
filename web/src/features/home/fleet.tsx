// The fleet in one table, trouble first.
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { DataTable } from '../../components/data_table'
import { Empty } from '../../components/empty'
import { Loading } from '../../components/loading'
import { Section } from '../../components/section'
import { Trouble } from '../../components/trouble'
import { NodeCard, NodeState, Seen, vitalColumns } from '../node/node_columns'
import { nodesQuery, troubleFirst } from '../node/node_queries'

export function Fleet() {
  const { t } = useTranslation()
  const found = useQuery(nodesQuery({}))
  const nodes = troubleFirst(found.data?.items ?? [])
  const none = <span className="faint">{t('table.none')}</span>
  return (
    <Section
      title={t('home.fleet')}
      count={nodes.length > 0 && t('home.fleet_count', { count: nodes.length })}
      right={nodes.length > 1 && t('home.trouble_first')}
    >
      <Trouble error={found.error} />
      {found.isPending && <Loading />}
      {found.data && nodes.length === 0 && <Empty icon="node" title={t('home.empty')} hint={t('home.empty_hint')} />}
      {nodes.length > 0 && (
        <DataTable
          dense
          label={t('home.fleet')}
          rows={nodes}
          rowKey={(row) => row.id}
          isStale={(row) => row.status === 'offline' || row.status === 'never_seen'}
          card={(row) => <NodeCard node={row} t={t} />}
          columns={[
            { key: 'node', head: t('node.node'), cell: (row) => <span className="name">{row.id}</span>, width: '18%' },
            { key: 'state', head: t('node.state'), cell: (row) => <NodeState node={row} />, width: '24%' },
            { key: 'location', head: t('node.location'), cell: (row) => row.location || none, width: '12%' },
            ...vitalColumns(t).map((column) => ({ ...column, width: '12%' })),
            {
              key: 'seen',
              head: t('node.seen'),
              cell: (row) => <Seen node={row} />,
              width: '10%',
              right: true,
            },
          ]}
        />
      )}
    </Section>
  )
}
