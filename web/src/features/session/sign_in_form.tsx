// The sign-in: a name and a password, then what the server still needs. Nothing that was typed is lost on the way.
import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '../../api/problem'
import type { SignedIn } from '../../api/schema'
import { signIn } from '../../api/sign_in'
import { Trouble } from '../../components/trouble'
import classes from './sign_in.module.css'

interface Props {
  name?: string
  onDone: (begun: SignedIn) => void
}

const ASKS = { code_needed: 'code', wrong_code: 'code', password_change_needed: 'new_password' } as const

export function SignInForm({ name: known = '', onDone }: Props) {
  const { t } = useTranslation()
  const [claim, setClaim] = useState({ name: known, password: '', code: '', new_password: '' })
  const [asked, setAsked] = useState<ReadonlySet<string>>(new Set())
  const begin = useMutation({
    mutationFn: () => signIn({ ...claim, keeps: 'cookie' }),
    onSuccess: onDone,
    onError: (error) => {
      const more = error instanceof Problem ? ASKS[error.code as keyof typeof ASKS] : undefined
      if (more) setAsked((before) => new Set([...before, more]))
    },
  })
  const isQuestion =
    begin.error instanceof Problem && ['code_needed', 'password_change_needed'].includes(begin.error.code)

  function submit(event: FormEvent): void {
    event.preventDefault()
    begin.mutate()
  }

  const field = (key: keyof typeof claim) => ({
    label: t(`sign_in.${key}`),
    value: claim[key],
    required: true,
    withAsterisk: false,
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget
      setClaim((before) => ({ ...before, [key]: value }))
    },
  })

  return (
    <form className={classes['form']} onSubmit={submit} aria-label={t('sign_in.title')}>
      <TextInput {...field('name')} autoComplete="username" autoFocus={known === ''} />
      <PasswordInput {...field('password')} autoComplete="current-password" autoFocus={known !== ''} />
      {asked.has('code') && (
        <TextInput {...field('code')} description={t('sign_in.code_hint')} autoComplete="one-time-code" autoFocus />
      )}
      {asked.has('new_password') && (
        <PasswordInput
          {...field('new_password')}
          description={t('sign_in.new_password_hint')}
          autoComplete="new-password"
          autoFocus
        />
      )}
      {!isQuestion && <Trouble error={begin.error} />}
      <Button type="submit" loading={begin.isPending}>
        {t('sign_in.submit')}
      </Button>
    </form>
  )
}
