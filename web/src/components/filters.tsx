// The filters of a list. They live in the address of the page, so that a view can be sent to somebody.
import { Select, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { useState } from 'react'
import classes from './filters.module.css'
import { Icon } from './icon'

const TYPING_MS = 250

interface FindProps {
  label: string
  value: string
  onChange: (text: string) => void
}

/** Asks when the typing pauses. */
export function Find({ label, value, onChange }: FindProps) {
  const [typed, setTyped] = useState(value)
  const [given, setGiven] = useState(value)
  const ask = useDebouncedCallback(onChange, TYPING_MS)
  if (given !== value) {
    setGiven(value) // the address was changed by something else
    setTyped(value)
  }
  return (
    <TextInput
      className={classes['find']}
      type="search"
      placeholder={label}
      aria-label={label}
      leftSection={<Icon name="search" />}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value)
        ask(event.currentTarget.value.trim())
      }}
    />
  )
}

interface ChoiceProps {
  label: string
  value: string | undefined
  choices: readonly { value: string; label: string }[]
  onChange: (value: string | undefined) => void
}

export function Choice({ label, value, choices, onChange }: ChoiceProps) {
  return (
    <Select
      className={classes['choice']}
      placeholder={label}
      aria-label={label}
      data={[...choices]}
      value={value ?? null}
      clearable
      searchable={choices.length > 12}
      onChange={(chosen) => onChange(chosen ?? undefined)}
    />
  )
}

export function Filters({ children }: { children: React.ReactNode }) {
  return <div className={classes['filters']}>{children}</div>
}
