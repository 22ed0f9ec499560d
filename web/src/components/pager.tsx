// To the next page of a list that the server pages, and back to its first.
import { Button, Group } from '@mantine/core'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Icon } from './icon'

interface Props {
  cursor: string | undefined
  next: string | null | undefined
  onGo: (cursor: string | undefined) => void
  children?: ReactNode
}

export function Pager({ cursor, next, onGo, children }: Props) {
  const { t } = useTranslation()
  return (
    <Group gap="sm" justify="space-between">
      <span className="faint">{children}</span>
      {(cursor || next) && (
        <Group gap="sm">
          <Button variant="default" disabled={!cursor} onClick={() => onGo(undefined)}>
            {t('table.first')}
          </Button>
          <Button
            variant="default"
            disabled={!next}
            onClick={() => onGo(next ?? undefined)}
            rightSection={<Icon name="right" />}
          >
            {t('table.next')}
          </Button>
        </Group>
      )}
    </Group>
  )
}
