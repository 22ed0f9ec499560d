// What is known of an instance, in words.
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Instance } from '../../api/schema'
import { Copy } from '../../components/copy'
import { Clock } from '../../components/time'
import classes from './instance.module.css'

interface Props {
  instance: Instance
}

export function InstanceFacts({ instance }: Props) {
  const { t } = useTranslation()
  const labels = Object.entries(instance.labels).map(([key, value]) => `${key}=${value}`)
  const facts: [string, ReactNode][] = [
    [t('instance.id'), <Copy key="id" text={instance.id} />],
    [t('instance.image'), <Copy key="image" text={instance.image} />],
    [t('instance.ports'), instance.ports.map((port) => <Copy key={port} text={port} />)],
    [t('instance.pipeline'), instance.pipeline],
    [t('instance.run'), instance.run && <Copy key="run" text={instance.run} />],
    [t('instance.group'), instance.group],
    [t('instance.labels'), labels.join(', ')],
    [t('instance.made_by'), instance.created_by],
    [t('instance.made_at'), <Clock key="made" at={instance.created_at} />],
    [t('instance.expires'), instance.expires_at && <Clock key="expires" at={instance.expires_at} />],
    [t('instance.exit_code'), instance.exit_code === null ? '' : String(instance.exit_code)],
    [t('instance.crashes'), instance.crash_count > 0 ? String(instance.crash_count) : ''],
  ]
  return (
    <dl className={`panel ${classes['facts']}`}>
      {facts
        .filter(([, value]) => value && (!Array.isArray(value) || value.length > 0))
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  )
}
