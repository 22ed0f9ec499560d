// All nodes that the user may see: trouble first on a page of the list, filtered by the server.
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { NodeStatus } from '../../api/schema'
import { DataTable } from '../../components/data_table'
import { Empty } from '../../components/empty'
import { Choice, Filters, Find } from '../../components/filters'
import { Loading } from '../../components/loading'
import { Pager } from '../../components/pager'
import { Trouble } from '../../components/trouble'
import { Page } from '../shell/page'
import { NodeCard, nodeColumns } from './node_columns'
import { type NodeSearch, nodesQuery, troubleFirst } from './node_queries'

const STATUSES = ['online', 'suspect', 'offline', 'never_seen'] as const satisfies readonly NodeStatus[]

export function NodeList() {
  const { t } = useTranslation()
  const search = useSearch({ from: '/nodes' })
  const navigate = useNavigate({ from: '/nodes' })
  const found = useQuery(nodesQuery(search))
  const narrow = (change: Partial<NodeSearch>) =>
    void navigate({ search: (before) => ({ ...before, cursor: undefined, ...change }), replace: true })
  const rows = troubleFirst(found.data?.items ?? [])
  const isNarrowed = Boolean(search.label || search.status)
  return (
    <Page title={t('nav.nodes')}>
      <Filters>
        <Find
          label={t('node.search_label')}
          value={search.label ?? ''}
          onChange={(label) => narrow({ label: label || undefined })}
        />
        <Choice
          label={t('node.any_state')}
          value={search.status}
          choices={STATUSES.map((status) => ({ value: status, label: t(`state.node.${status}`) }))}
          onChange={(status) => narrow({ status: status as NodeStatus | undefined })}
        />
      </Filters>
      <Trouble error={found.error} />
      {found.isPending && <Loading />}
      {found.data && rows.length === 0 && (
        <Empty
          icon="node"
          title={isNarrowed ? t('node.none_match') : t('node.empty')}
          hint={isNarrowed ? '' : t('node.empty_hint')}
        />
      )}
      {rows.length > 0 && (
        <>
          <DataTable
            label={t('nav.nodes')}
            rows={rows}
            columns={nodeColumns(t)}
            rowKey={(row) => row.id}
            card={(row) => <NodeCard node={row} t={t} />}
            isStale={(row) => row.status === 'offline' || row.status === 'never_seen'}
          />
          <Pager
            cursor={search.cursor}
            next={found.data?.next_cursor}
            onGo={(cursor) => void navigate({ search: (before) => ({ ...before, cursor }) })}
          >
            {t('node.count', { count: rows.length })}
          </Pager>
        </>
      )}
    </Page>
  )
}
