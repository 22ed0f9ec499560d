// What moves now: runs that have not ended, and instances on their way to another state.
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Section } from '../../components/section'
import { State } from '../../components/state'
import { For } from '../../components/time'
import { Trouble } from '../../components/trouble'
import { InstanceLink } from '../instance/instance_columns'
import { instancesQuery } from '../instance/instance_queries'
import classes from './home.module.css'
import { openRunsQuery } from './run_queries'

const MOVING = ['creating', 'preparing', 'starting', 'restarting', 'stopping', 'deleting'] as const
const SHOWN = 20

export function MovingNow() {
  const { t } = useTranslation()
  const runs = useQuery(openRunsQuery)
  const instances = useQuery(instancesQuery({ state: [...MOVING] }, SHOWN))
  const openRuns = runs.data?.items ?? []
  const moving = instances.data?.items ?? []
  const count = openRuns.length + moving.length
  if (runs.data && instances.data && count === 0) return null
  return (
    <Section title={t('home.moving')} count={count || ''}>
      <Trouble error={runs.error ?? instances.error} />
      {count > 0 && (
        <ul className={`panel ${classes['moving']}`}>
          {openRuns.map((run) => (
            <li key={run.id}>
              <State kind="run" state={run.state} />
              <span className="cut">
                <span className="name">{run.pipeline}</span> <span className="faint">{run.id}</span>
              </span>
              <span className="soft cut">{run.message || run.waiting}</span>
              <For at={run.started_at ?? run.created_at} />
            </li>
          ))}
          {moving.map((instance) => (
            <li key={instance.id}>
              <State kind="instance" state={instance.state} />
              <InstanceLink instance={instance} />
              <span className="soft cut">{instance.message || instance.node}</span>
              <For at={instance.since} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}
