// A page: its title and its ancestors in the top bar, the state of the live link, and its content.
import { Link, type LinkProps } from '@tanstack/react-router'
import { type ReactNode, useEffect } from 'react'
import { useTranslation } from 'react-i18next'
import { LinkState } from './link_state'
import { NewerConsole } from './newer_console'
import classes from './shell.module.css'

export const CONTENT = 'content'

interface Props {
  title: string
  parent?: { title: string; to: LinkProps['to'] }
  children: ReactNode
  /** The content has its own margins. */
  flush?: boolean
}

export function Page({ title, parent, children, flush }: Props) {
  const { t } = useTranslation()
  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`
  }, [title, t])
  return (
    <>
      <header className={classes['top']}>
        <h1 className="cut">
          {parent && (
            <span className={classes['parent']}>
              <Link to={parent.to}>{parent.title}</Link> /{' '}
            </span>
          )}
          {title}
        </h1>
        <LinkState />
      </header>
      <main className={classes['main']} id={CONTENT} tabIndex={-1} data-flush={flush || undefined}>
        <NewerConsole />
        {children}
      </main>
    </>
  )
}
