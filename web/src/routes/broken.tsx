// A page that failed: an error of ours, or a part of an old console that a new server has no longer.
import { Button } from '@mantine/core'
import type { ErrorComponentProps } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Empty } from '../components/empty'

export function Broken({ error }: ErrorComponentProps) {
  const { t } = useTranslation()
  return (
    <main>
      <Empty icon="error" title={t('app.broken')} hint={error instanceof Error ? error.message : String(error)}>
        <Button onClick={() => window.location.reload()}>{t('app.reload')}</Button>
      </Empty>
    </main>
  )
}
