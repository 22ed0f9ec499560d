// The head of an instance, which stays in sight: its state and since when, its power, and its most asked-for facts.
import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Instance } from '../../api/schema'
import { Meter } from '../../components/meter'
import { Spark } from '../../components/spark'
import { State } from '../../components/state'
import { For } from '../../components/time'
import { bytes, bytesOf, percent } from '../../format/numbers'
import classes from './instance.module.css'
import { publicPort } from './instance_columns'
import { instanceMetricsQuery } from './instance_queries'
import { PowerButtons } from './power_buttons'

interface Props {
  instance: Instance
}

export function InstanceHeader({ instance }: Props) {
  const { t } = useTranslation()
  const isBehind = instance.running_revision > 0 && instance.running_revision !== instance.revision
  const ports = [...new Set(instance.ports.map(publicPort))]
  return (
    <div className={classes['header']}>
      <div className={classes['title']}>
        <h2 className="cut">{instance.name || instance.id}</h2>
        <State kind="instance" state={instance.state} badge />
        <span className="soft">
          <For at={instance.since} inWords />
        </span>
        <PowerButtons instance={instance} />
      </div>
      {instance.operation && (
        <p className="soft">
          {t('instance.going_on', { action: instance.operation.action, by: instance.operation.by })}
        </p>
      )}
      {instance.message && <p className="soft">{instance.message}</p>}
      <div className={classes['shown']}>
        <Fact name={t('instance.node')}>{instance.node}</Fact>
        {ports.length > 0 && (
          <Fact name={t('instance.ports')}>
            <span className="mono">{ports.join(', ')}</span>
          </Fact>
        )}
        <Fact name={t('instance.revision')}>
          {isBehind
            ? t('instance.revisions_differ', {
                running: `v${instance.running_revision}`,
                wanted: `v${instance.revision}`,
              })
            : `v${instance.revision}`}
        </Fact>
        <Usage id={instance.id} />
      </div>
    </div>
  )
}

function Usage({ id }: { id: string }) {
  const { t } = useTranslation()
  const points = useQuery(instanceMetricsQuery(id)).data?.points ?? []
  const cpu = points.map((point) => point.values['cpu_percent'] ?? 0)
  const newest = points.at(-1)?.values
  if (!newest) return null
  const memory = newest['memory_working_set_bytes']
  const limit = newest['memory_limit_bytes']
  return (
    <>
      {newest['cpu_percent'] !== undefined && (
        <Fact name={t('instance.cpu')}>
          <Spark values={cpu} most={Math.max(100, ...cpu)} />
          {percent(newest['cpu_percent'] / 100)}
        </Fact>
      )}
      {memory !== undefined && (
        <Fact name={t('instance.memory')}>
          {limit ? (
            <Meter share={memory / limit} label={t('instance.memory')}>
              {t('node.of_all', { used: bytesOf(memory, limit)[0], all: bytesOf(memory, limit)[1] })}
            </Meter>
          ) : (
            bytes(memory)
          )}
        </Fact>
      )}
    </>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <div className={classes['factname']}>{name}</div>
      <div className={classes['factvalue']}>{children}</div>
    </div>
  )
}
