// A text that people take elsewhere, with a button that copies it.
import { UnstyledButton } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import classes from './copy.module.css'
import { Icon } from './icon'

const SHOWN_MS = 1500

interface Props {
  text: string
}

export function Copy({ text }: Props) {
  const { t } = useTranslation()
  const [isCopied, setCopied] = useState(false)

  async function copy(): Promise<void> {
    await navigator.clipboard.writeText(text)
    setCopied(true)
    setTimeout(() => setCopied(false), SHOWN_MS)
  }

  return (
    <span className={classes['copy']}>
      <span className="mono cut">{text}</span>
      <UnstyledButton
        className={classes['button']}
        onClick={() => void copy()}
        aria-label={`${t('copy.copy')} ${text}`}
      >
        <Icon name={isCopied ? 'check' : 'copy'} />
      </UnstyledButton>
      <span className={classes['told']} role="status">
        {isCopied ? t('copy.copied') : ''}
      </span>
    </span>
  )
}
