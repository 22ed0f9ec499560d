// One instance: its head, and a tab for each side of it.
import { Tabs } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Problem } from '../../api/problem'
import { Empty } from '../../components/empty'
import { Loading } from '../../components/loading'
import { Trouble } from '../../components/trouble'
import { EventTimeline } from '../event/event_timeline'
import { Page } from '../shell/page'
import classes from './instance.module.css'
import { InstanceFacts } from './instance_facts'
import { InstanceHeader } from './instance_header'
import { instanceQuery } from './instance_queries'

export const TABS = ['overview', 'events'] as const
export type InstanceTab = (typeof TABS)[number]

export function InstancePage() {
  const { t } = useTranslation()
  const { id } = useParams({ from: '/instances/$id' })
  const { tab = TABS[0] } = useSearch({ from: '/instances/$id' })
  const navigate = useNavigate({ from: '/instances/$id' })
  const found = useQuery(instanceQuery(id))
  const instance = found.data
  const isMissing = found.error instanceof Problem && found.error.status === 404
  return (
    <Page
      title={instance?.name || id}
      parent={{ title: t('nav.instances'), to: '/instances' }}
      flush={instance !== undefined}
    >
      {found.isPending && <Loading />}
      {isMissing && <Empty icon="inst" title={t('instance.missing', { id })} hint={t('instance.missing_hint')} />}
      {!isMissing && found.error && <Trouble error={found.error} />}
      {instance && !isMissing && (
        <>
          <InstanceHeader instance={instance} />
          <Tabs
            className={classes['tabs'] ?? ''}
            value={tab}
            onChange={(chosen) => void navigate({ search: { tab: chosen as InstanceTab }, replace: true })}
            keepMounted={false}
          >
            <Tabs.List>
              {TABS.map((one) => (
                <Tabs.Tab key={one} value={one}>
                  {t(`instance.${one}`)}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            <Tabs.Panel value="overview">
              <InstanceFacts instance={instance} />
            </Tabs.Panel>
            <Tabs.Panel value="events">
              <EventTimeline search={{ instance: id }} />
            </Tabs.Panel>
          </Tabs>
        </>
      )}
    </Page>
  )
}
