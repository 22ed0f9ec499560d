// The start of the console: its words, its colours, then its pages.
import './theme/tokens.css'
import './theme/base.css'
import '@mantine/core/styles.layer.css'
import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { makeQueryClient } from './api/query'
import { signInByAddress } from './api/sign_in'
import { startWords } from './i18n/i18n'
import { makeRouter } from './routes/router'
import { adoptTheme, resolver, theme } from './theme/theme'

const queries = makeQueryClient()

async function start(root: HTMLElement): Promise<void> {
  adoptTheme()
  await startWords()
  const router = makeRouter({ trouble: await signInByAddress() })
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={resolver}
        defaultColorScheme="auto"
        withCssVariables={false}
        withGlobalClasses={false}
      >
        <QueryClientProvider client={queries}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  )
}

const root = document.getElementById('root')
if (root) void start(root)
