// The console as files that the api serves: hashed names, and each text beside its gzip and brotli forms.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const BUILT = '../api/web/built'
const SERVER = process.env['GAMEKEEPER_SERVER'] ?? 'http://127.0.0.1:7380'

function compressed(): Plugin {
  let folder = BUILT
  return {
    name: 'compressed',
    apply: 'build',
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir)
    },
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue
        const file = join(entry.parentPath, entry.name)
        const bytes = readFileSync(file)
        writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }))
        const best = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }
        writeFileSync(`${file}.br`, brotliCompressSync(bytes, best))
      }
    },
  }
}

export default defineConfig({
  plugins: [react(), compressed()],
  define: { __BUILD__: JSON.stringify(process.env['GAMEKEEPER_WEB_BUILD'] ?? '') },
  build: {
    outDir: BUILT,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: addresses
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000, // tests/api/web holds the size of the first load
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': SERVER } },
  test: { environment: 'jsdom', setupFiles: 'src/testing/setup.ts', restoreMocks: true },
})
