// Power: what is harmless at once, and a question before what throws players out. The server settles what may be done.
import { Button, Menu, Modal } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Instance } from '../../api/schema'
import { useMay } from '../../api/who'
import { Icon } from '../../components/icon'
import { Trouble } from '../../components/trouble'
import classes from './instance.module.css'
import { askPower, type PowerAction } from './instance_queries'

const RESTS = new Set(['stopped', 'failed', 'crash_loop'])

interface Props {
  instance: Instance
}

export function PowerButtons({ instance }: Props) {
  const { t } = useTranslation()
  const [asked, setAsked] = useState<PowerAction | null>(null)
  const queries = useQueryClient()
  const act = useMutation({
    mutationFn: (action: PowerAction) => askPower(instance.id, action),
    onSuccess: () => {
      setAsked(null)
      return queries.invalidateQueries({ queryKey: ['instance'] })
    },
  })
  if (!useMay('power')) return null
  const isBusy = instance.operation !== null || act.isPending
  const rests = RESTS.has(instance.state)
  return (
    <div className={classes['power']} role="group" aria-label={t('power.label')}>
      {rests && (
        <Button
          leftSection={<Icon name="start" />}
          disabled={isBusy}
          onClick={() => act.mutate('start')}
          loading={act.isPending}
        >
          {t('power.start')}
        </Button>
      )}
      {!rests && (
        <>
          <Button
            variant="default"
            leftSection={<Icon name="restart" />}
            disabled={isBusy}
            onClick={() => setAsked('restart')}
          >
            {t('power.restart')}
          </Button>
          <Button
            variant="default"
            leftSection={<Icon name="power" />}
            disabled={isBusy}
            onClick={() => setAsked('stop')}
          >
            {t('power.stop')}
          </Button>
          <Menu position="bottom-end" withinPortal>
            <Menu.Target>
              <Button variant="default" px={8} aria-label={t('power.more')}>
                <Icon name="down" />
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item color="red" leftSection={<Icon name="fail" />} onClick={() => setAsked('kill')}>
                {t('power.kill')}
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </>
      )}
      {asked === null && <Trouble error={act.error} />}
      <Confirm
        action={asked}
        id={instance.id}
        isPending={act.isPending}
        error={act.error}
        onClose={() => {
          setAsked(null)
          act.reset()
        }}
        onDo={(action) => act.mutate(action)}
      />
    </div>
  )
}

interface ConfirmProps {
  action: PowerAction | null
  id: string
  isPending: boolean
  error: unknown
  onClose: () => void
  onDo: (action: PowerAction) => void
}

function Confirm({ action, id, isPending, error, onClose, onDo }: ConfirmProps) {
  const { t } = useTranslation()
  if (action === null || action === 'start') return null
  return (
    <Modal opened onClose={onClose} size={440} title={t(`power.${action}_title`, { id })}>
      <p className="soft">{t(`power.${action}_text`)}</p>
      <Trouble error={error} />
      <div className={classes['foot']}>
        <Button variant="default" onClick={onClose}>
          {t('power.keep')}
        </Button>
        <Button color="red" loading={isPending} onClick={() => onDo(action)} data-autofocus>
          {t(`power.${action}_do`, { id })}
        </Button>
      </div>
    </Modal>
  )
}
