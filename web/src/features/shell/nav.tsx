// The way between the pages: at the left, or at the bottom of a phone.
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useWho } from '../../api/who'
import { Icon } from '../../components/icon'
import { PAGES } from '../../routes/pages'
import { Brand } from './brand'
import classes from './shell.module.css'
import { UserMenu } from './user_menu'

export function Nav() {
  const { t } = useTranslation()
  const who = useWho()
  const may = (verb: string) => [...(who?.verbs ?? []), ...(who?.verbs_somewhere ?? [])].some((own) => own === verb)
  return (
    <nav className={classes['nav']} aria-label={t('nav.label')}>
      <div className={classes['brand']}>
        <Brand />
      </div>
      {PAGES.filter((page) => may(page.verb)).map((page) => (
        <Link key={page.to} to={page.to} activeOptions={{ exact: page.to === '/', includeSearch: false }}>
          <Icon name={page.icon} />
          <span>{t(`nav.${page.word}`)}</span>
        </Link>
      ))}
      <div className={classes['room']} />
      <UserMenu />
    </nav>
  )
}
