// The game servers, for somebody who owns a few: all of them, here. A large fleet has its own page.
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { DataTable } from '../../components/data_table'
import { Empty } from '../../components/empty'
import { Section } from '../../components/section'
import { Trouble } from '../../components/trouble'
import { InstanceCard, instanceColumns } from '../instance/instance_columns'
import { instancesQuery } from '../instance/instance_queries'

const FEW = 10

export function Servers() {
  const { t } = useTranslation()
  const found = useQuery(instancesQuery({}, FEW))
  const instances = found.data?.items ?? []
  if (found.isPending || found.data?.next_cursor) return null
  return (
    <Section title={t('nav.instances')} count={instances.length || ''}>
      <Trouble error={found.error} />
      {instances.length === 0 && <Empty icon="inst" title={t('home.empty_run')} hint={t('home.empty_run_hint')} />}
      {instances.length > 0 && (
        <DataTable
          dense
          label={t('nav.instances')}
          rows={instances}
          rowKey={(row) => row.id}
          columns={instanceColumns(t)}
          card={(row) => <InstanceCard instance={row} />}
          isStale={(row) => row.state === 'unknown'}
        />
      )}
    </Section>
  )
}
