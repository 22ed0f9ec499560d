// Who is signed in, and what they choose for this browser: language and colours.
import { Menu, UnstyledButton, useMantineColorScheme, VisuallyHidden } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { signOut } from '../../api/sign_in'
import { useWho } from '../../api/who'
import { Icon } from '../../components/icon'
import { chooseLanguage, LANGUAGES, type Language } from '../../i18n/i18n'
import classes from './shell.module.css'

const SCHEMES = { light: 'light', dark: 'dark', system: 'auto' } as const

export function UserMenu() {
  const { t, i18n } = useTranslation()
  const who = useWho()
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const queries = useQueryClient()
  const out = useMutation({ mutationFn: signOut, onSettled: () => queries.clear() })
  const name = who?.user?.name ?? who?.actor ?? ''
  const role = who?.user?.role ?? who?.key?.role ?? ''
  const mark = (isChosen: boolean) => (isChosen ? <Icon name="check" /> : <span className={classes['unchosen']} />)
  return (
    <Menu position="top-start" width={208} withinPortal>
      <Menu.Target>
        <UnstyledButton className={classes['user']}>
          <Icon name="person" color="grey" />
          <span className="cut">{name}</span>
          <span className={classes['role']}>{role}</span>
          <VisuallyHidden>{t('user.menu')}</VisuallyHidden>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t('user.language')}</Menu.Label>
        {(Object.keys(LANGUAGES) as Language[]).map((language) => (
          <Menu.Item
            key={language}
            lang={language}
            leftSection={mark(i18n.language === language)}
            onClick={() => void chooseLanguage(language)}
          >
            {LANGUAGES[language]}
          </Menu.Item>
        ))}
        <Menu.Label>{t('user.theme')}</Menu.Label>
        {(Object.keys(SCHEMES) as (keyof typeof SCHEMES)[]).map((word) => (
          <Menu.Item
            key={word}
            leftSection={mark(colorScheme === SCHEMES[word])}
            onClick={() => setColorScheme(SCHEMES[word])}
          >
            {t(`user.${word}`)}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item leftSection={<Icon name="power" />} onClick={() => out.mutate()}>
          {t('user.sign_out')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
