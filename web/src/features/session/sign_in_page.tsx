// The page for whoever is not signed in, and the same over a page whose session has ended.
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { useWho } from '../../api/who'
import { Trouble } from '../../components/trouble'
import { Brand } from '../shell/brand'
import classes from './sign_in.module.css'
import { SignInForm } from './sign_in_form'

interface Props {
  /** What went wrong with a link that was to sign in. */
  trouble: unknown
}

export function SignInPage({ trouble }: Props) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  return (
    <main className={classes['page']}>
      <div className={classes['box']}>
        <div className={classes['brand']}>
          <Brand />
        </div>
        <div className={`panel ${classes['card']}`}>
          <h1>{t('sign_in.title')}</h1>
          <Trouble error={trouble} />
          <SignInForm onDone={() => void queries.invalidateQueries()} />
        </div>
        <p className={classes['hint']}>{t('sign_in.no_password')}</p>
      </div>
    </main>
  )
}

/** The page stays as it is below; somebody else than before gets a new one. */
export function SignInOver() {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const who = useWho()
  return (
    <div className={classes['over']} role="dialog" aria-modal="true" aria-label={t('sign_in.title')}>
      <div className={classes['page']}>
        <div className={`panel ${classes['box']} ${classes['card']}`}>
          <p>{t('sign_in.again')}</p>
          <SignInForm
            name={who?.user?.name ?? ''}
            onDone={(begun) => {
              if (begun.user_id !== who?.user?.id) window.location.reload()
              else void queries.invalidateQueries()
            }}
          />
        </div>
      </div>
    </div>
  )
}
