// An address that is none of ours.
import { Button } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Empty } from '../components/empty'
import { Page } from '../features/shell/page'

export function MissingPage() {
  const { t } = useTranslation()
  return (
    <Page title={t('app.missing_page')}>
      <Empty icon="search" title={t('app.missing_page')} hint={t('app.missing_page_hint')}>
        <Button component={Link} to="/">
          {t('app.go_home')}
        </Button>
      </Empty>
    </Page>
  )
}
