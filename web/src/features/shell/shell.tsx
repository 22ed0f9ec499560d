// What is around every page: navigation, and a way past it for those who use no mouse.
import { Outlet } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Nav } from './nav'
import { CONTENT } from './page'
import classes from './shell.module.css'

interface Props {
  inert: boolean
}

export function Shell({ inert }: Props) {
  const { t } = useTranslation()
  return (
    <div className={classes['shell']} inert={inert}>
      <a className={classes['skip']} href={`#${CONTENT}`}>
        {t('app.skip')}
      </a>
      <Nav />
      <Outlet />
    </div>
  )
}
