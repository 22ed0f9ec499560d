// All instances that the user may see: filtered and paged by the server, with the filters in the address.
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { InstanceState } from '../../api/schema'
import { DataTable } from '../../components/data_table'
import { Empty } from '../../components/empty'
import { Choice, Filters, Find } from '../../components/filters'
import { Loading } from '../../components/loading'
import { Pager } from '../../components/pager'
import { STATES } from '../../components/states'
import { Trouble } from '../../components/trouble'
import { nodesQuery } from '../node/node_queries'
import { Page } from '../shell/page'
import { InstanceCard, instanceColumns } from './instance_columns'
import { type InstanceSearch, instancesQuery } from './instance_queries'

const SHOWN_STATES = Object.keys(STATES.instance).filter((state) => state !== 'deleted') as InstanceState[]

export function InstanceList() {
  const { t } = useTranslation()
  const search = useSearch({ from: '/instances' })
  const navigate = useNavigate({ from: '/instances' })
  const found = useQuery(instancesQuery(search))
  const nodes = useQuery(nodesQuery({}))
  const narrow = (change: Partial<InstanceSearch>) =>
    void navigate({ search: (before) => ({ ...before, cursor: undefined, ...change }), replace: true })
  const rows = found.data?.items ?? []
  const isNarrowed = Boolean(search.prefix || search.node || search.state)
  return (
    <Page title={t('nav.instances')}>
      <Filters>
        <Find
          label={t('instance.search')}
          value={search.prefix ?? ''}
          onChange={(prefix) => narrow({ prefix: prefix || undefined })}
        />
        <Choice
          label={t('instance.any_state')}
          value={search.state?.[0]}
          choices={SHOWN_STATES.map((state) => ({ value: state, label: t(`state.instance.${state}`) }))}
          onChange={(state) => narrow({ state: state ? [state as InstanceState] : undefined })}
        />
        <Choice
          label={t('instance.any_node')}
          value={search.node}
          choices={(nodes.data?.items ?? []).map((node) => ({ value: node.id, label: node.id }))}
          onChange={(node) => narrow({ node })}
        />
      </Filters>
      <Trouble error={found.error} />
      {found.isPending && <Loading />}
      {found.data && rows.length === 0 && (
        <Empty
          icon="inst"
          title={isNarrowed ? t('instance.none_match') : t('instance.empty')}
          hint={isNarrowed ? '' : t('instance.empty_hint')}
        />
      )}
      {rows.length > 0 && (
        <>
          <DataTable
            label={t('nav.instances')}
            rows={rows}
            columns={instanceColumns(t)}
            rowKey={(row) => row.id}
            card={(row) => <InstanceCard instance={row} />}
            isStale={(row) => row.state === 'unknown'}
          />
          <Pager
            cursor={search.cursor}
            next={found.data?.next_cursor}
            onGo={(cursor) => void navigate({ search: (before) => ({ ...before, cursor }) })}
          >
            {t('instance.count', { count: rows.length })}
          </Pager>
        </>
      )}
    </Page>
  )
}
