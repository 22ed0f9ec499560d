// What happened to something, newest first.
import { Button } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Empty } from '../../components/empty'
import { Loading } from '../../components/loading'
import { Clock } from '../../components/time'
import { Trouble } from '../../components/trouble'
import classes from './event.module.css'
import { type EventSearch, eventsQuery } from './event_queries'

interface Props {
  search: EventSearch
}

export function EventTimeline({ search }: Props) {
  const { t } = useTranslation()
  const found = useInfiniteQuery(eventsQuery(search))
  const events = found.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <>
      <Trouble error={found.error} />
      {found.isPending && <Loading />}
      {found.data && events.length === 0 && <Empty icon="list" title={t('event.empty')} />}
      {events.length > 0 && (
        <ol className={`panel ${classes['events']}`}>
          {events.map((event) => (
            <li key={event.seq}>
              <span className="faint">
                <Clock at={event.at} />
              </span>
              <span className="mono">{event.kind}</span>
              <span className={classes['message']}>{event.message || event.reason}</span>
              <span className="faint cut">{event.actor !== 'system' && t('event.by', { actor: event.actor })}</span>
            </li>
          ))}
        </ol>
      )}
      {found.hasNextPage && (
        <Button
          className={classes['more'] ?? ''}
          variant="default"
          loading={found.isFetchingNextPage}
          onClick={() => void found.fetchNextPage()}
        >
          {t('event.more')}
        </Button>
      )}
    </>
  )
}
