// The words of the console. English is there at once, another language comes when it is asked for.
import i18next, { type BackendModule } from 'i18next'
import { initReactI18next } from 'react-i18next'
import en from './en.json'

export const LANGUAGES = { en: 'English', zh: '中文' } as const
export type Language = keyof typeof LANGUAGES

const KEPT = 'gamekeeper.language'

const others: BackendModule = {
  type: 'backend',
  init: () => {},
  read: (language, _namespace, done) => {
    if (language !== 'zh') return done(null, {})
    import('./zh.json').then((found) => done(null, found.default)).catch((error: Error) => done(error, null))
  },
}

export function isLanguage(text: string | null): text is Language {
  return text !== null && text in LANGUAGES
}

function firstLanguage(): Language {
  const kept = localStorage.getItem(KEPT)
  if (isLanguage(kept)) return kept
  const asked = navigator.languages.map((tag) => tag.split('-')[0] ?? '').find((tag) => isLanguage(tag))
  return isLanguage(asked ?? null) ? (asked as Language) : 'en'
}

export async function startWords(): Promise<void> {
  await i18next
    .use(others)
    .use(initReactI18next)
    .init({
      lng: firstLanguage(),
      fallbackLng: 'en',
      resources: { en: { translation: en } },
      partialBundledLanguages: true,
      interpolation: { escapeValue: false }, // React writes text, never markup
      returnNull: false,
    })
  tellDocument()
}

export async function chooseLanguage(language: Language): Promise<void> {
  localStorage.setItem(KEPT, language)
  await i18next.changeLanguage(language)
  tellDocument()
}

function tellDocument(): void {
  document.documentElement.lang = i18next.language === 'zh' ? 'zh-CN' : i18next.language
}
