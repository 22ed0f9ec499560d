// Mantine's theme. The colours themselves are the tokens of tokens.css.
import {
  type CSSVariablesResolver,
  colorsTuple,
  convertCssVariables,
  createTheme,
  DEFAULT_THEME,
  deepMerge,
  defaultCssVariablesResolver,
  mergeMantineTheme,
  virtualColor,
} from '@mantine/core'

function pair(name: string, light: string, dark: string) {
  return {
    [`${name}L`]: colorsTuple(light),
    [`${name}D`]: colorsTuple(dark),
    [name]: virtualColor({ name, light: `${name}L`, dark: `${name}D` }),
  }
}

const FADE = { transition: 'fade', duration: 120 } as const

export const theme = createTheme({
  colors: {
    ...pair('ink', '#15181c', '#e7e9ec'),
    ...pair('green', '#1b7f45', '#4cbb7c'),
    ...pair('blue', '#1f69c4', '#5c9eec'),
    ...pair('amber', '#a66600', '#d9a036'),
    ...pair('red', '#c5322a', '#e9695e'),
    gray: [
      '#f4f5f7',
      '#eceef1',
      '#e2e5e9',
      '#d9dde2',
      '#868e99',
      '#68717c',
      '#5f6873',
      '#4a525c',
      '#2b323a',
      '#15181c',
    ],
    dark: [
      '#e7e9ec',
      '#a9b1ba',
      '#8f98a3',
      '#69727d',
      '#69727d',
      '#222931',
      '#15191d',
      '#0e1114',
      '#0a0c0e',
      '#060708',
    ],
  },
  primaryColor: 'ink',
  autoContrast: true,
  luminanceThreshold: 0.22,
  black: '#14171b',
  fontFamily: 'var(--sans)',
  fontFamilyMonospace: 'var(--mono)',
  fontSizes: { xs: '12px', sm: '13px', md: '13px', lg: '14px', xl: '16px' },
  lineHeights: { xs: '16px', sm: '20px', md: '20px', lg: '20px', xl: '24px' },
  fontWeights: { regular: '400', medium: '500', bold: '600' },
  headings: {
    fontFamily: 'var(--sans)',
    fontWeight: '600',
    sizes: {
      h1: { fontSize: '20px', lineHeight: '28px' },
      h2: { fontSize: '16px', lineHeight: '24px' },
      h3: { fontSize: '14px', lineHeight: '20px' },
    },
  },
  spacing: { xs: '4px', sm: '8px', md: '12px', lg: '16px', xl: '24px' },
  radius: { xs: '2px', sm: '4px', md: '6px', lg: '8px', xl: '12px' },
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Button: {
      vars: () => ({
        root: { '--button-height': 'var(--control-height)', '--button-padding-x': '12px', '--button-fz': '13px' },
      }),
    },
    Input: { vars: () => ({ wrapper: { '--input-height': 'var(--control-height)', '--input-fz': '13px' } }) },
    Checkbox: { defaultProps: { iconColor: 'var(--surface)', size: 'xs', radius: 'sm' } },
    // Its scroll lock writes a style element, which the Content-Security-Policy refuses: modal.css locks instead.
    Modal: { defaultProps: { radius: 'xl', transitionProps: FADE, lockScroll: false } },
    Menu: { defaultProps: { transitionProps: FADE, shadow: 'md' } },
    Tooltip: { defaultProps: { openDelay: 300, transitionProps: FADE } },
  },
})

const states = Object.fromEntries(
  ['green', 'blue', 'amber', 'red'].flatMap((color) => [
    [`--mantine-color-${color}-light`, `var(--${color}-b)`],
    [`--mantine-color-${color}-light-hover`, `var(--${color}-b)`],
    [`--mantine-color-${color}-light-color`, `var(--${color}-t)`],
    [`--mantine-color-${color}-text`, `var(--${color}-t)`],
  ]),
)

const both = {
  '--mantine-color-body': 'var(--bg)',
  '--mantine-color-text': 'var(--text)',
  '--mantine-color-dimmed': 'var(--text-2)',
  '--mantine-color-placeholder': 'var(--text-3)',
  '--mantine-color-default': 'var(--surface)',
  '--mantine-color-default-hover': 'var(--hover)',
  '--mantine-color-default-border': 'var(--control)',
  '--mantine-color-error': 'var(--red-t)',
  '--mantine-color-ink-light': 'var(--selected)',
  '--mantine-color-ink-light-hover': 'var(--hover)',
  '--mantine-color-ink-light-color': 'var(--text)',
  '--mantine-color-ink-filled-hover': 'light-dark(#2b323a, #ffffff)',
  ...states,
}

export const resolver: CSSVariablesResolver = () => ({ variables: {}, light: both, dark: both })

/** Mantine would write its variables into a style element, which the Content-Security-Policy refuses. A style sheet that
 * is made by code is none. */
export function adoptTheme(): void {
  const whole = mergeMantineTheme(DEFAULT_THEME, theme)
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(convertCssVariables(deepMerge(defaultCssVariablesResolver(whole), resolver(whole))))
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
}
