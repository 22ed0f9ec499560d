import { expect, test } from 'vitest'
import en from './en.json'
import zh from './zh.json'

type Tree = { [key: string]: string | Tree }

/** Every message by its whole key. English has a form for one thing, which Chinese has not. */
function messages(tree: Tree, before = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    const whole = before + key
    if (typeof value === 'string') found.set(whole, value)
    else for (const [inner, text] of messages(value, `${whole}.`)) found.set(inner, text)
  }
  return found
}

const placeholders = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]).sort()

test('both languages have the same keys', () => {
  const english = [...messages(en).keys()].filter((key) => !key.endsWith('_one'))
  expect([...messages(zh).keys()].sort()).toEqual(english.sort())
})

test('both languages fill in the same values', () => {
  const chinese = messages(zh)
  for (const [key, text] of messages(en)) {
    if (key.endsWith('_one')) continue
    expect([key, placeholders(chinese.get(key) ?? '')]).toEqual([key, placeholders(text)])
  }
})

test('no message is empty', () => {
  for (const [key, text] of [...messages(en), ...messages(zh)]) expect([key, text.trim()]).not.toEqual([key, ''])
})
