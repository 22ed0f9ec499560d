/// <reference types="vite/client" />

/** The hash of the sources this page was built from; the server tells its own in `web_build`. */
declare const __BUILD__: string
