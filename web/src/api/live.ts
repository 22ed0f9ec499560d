// The one event stream of the app, and of all its tabs: a browser has six connections to a server. The tab that holds the
// lock keeps the stream and tells the others. It resumes where it was, heals by itself, and says how it is.
import { EventReader, type ServerEvent } from './event_stream'
import { problemOf } from './problem'
import { setSession } from './session_state'

export type LinkState = 'connecting' | 'live' | 'reconnecting' | 'lost'

export interface Link {
  state: LinkState
  since: number
}

const TABS = 'gamekeeper.live' // the name of the lock, and of the channel between tabs
const ADDRESS = '/api/v1/events?follow=true'
const QUIET_MS = 40_000 // the server says something every 15 s
const LOST_MS = 30_000
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

/** What a tab tells the others. One that is new asks how the link is. */
type Word = { open: boolean } | { event: ServerEvent } | { link: Link } | { ask: true }

/** `onOpen` is told whether events may have been missed. */
export interface Listener {
  onOpen(isResumed: boolean): void
  onEvent(event: ServerEvent): void
}

export class LiveLink {
  private link: Link = { state: 'connecting', since: Date.now() }
  private watchers = new Set<() => void>()
  private lastId = ''
  private pause = FIRST_PAUSE_MS
  private stopping = new AbortController()
  private wake: () => void = () => {}
  private tabs: BroadcastChannel | undefined
  private isKeeper = false

  constructor(private readonly listener: Listener) {}

  readonly state = (): Link => this.link

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher)
    return () => this.watchers.delete(watcher)
  }

  start(): () => void {
    const hurry = () => this.wake()
    const begin = () => {
      this.stopping = new AbortController()
      this.tabs = new BroadcastChannel(TABS)
      this.tabs.onmessage = (message: MessageEvent<Word>) => this.hear(message.data)
      this.tabs.postMessage({ ask: true } satisfies Word)
      void this.keepInTurn(this.stopping.signal)
    }
    const end = () => {
      this.stopping.abort()
      this.tabs?.close()
      this.wake()
    }
    // A page that was left is kept for the way back, and would keep its connection: a browser has six of them.
    const on = { pagehide: end, pageshow: (event: PageTransitionEvent) => event.persisted && begin(), online: hurry }
    for (const [name, listener] of Object.entries(on)) window.addEventListener(name, listener as () => void)
    document.addEventListener('visibilitychange', hurry)
    begin()
    return () => {
      end()
      for (const [name, listener] of Object.entries(on)) window.removeEventListener(name, listener as () => void)
      document.removeEventListener('visibilitychange', hurry)
    }
  }

  /** A lock that is waited for in vain ends by the signal alone. */
  private async keepInTurn(stopping: AbortSignal): Promise<void> {
    const asKeeper = async () => {
      this.isKeeper = true
      await this.keep(stopping)
      this.isKeeper = false
    }
    await navigator.locks.request(TABS, { signal: stopping }, asKeeper).catch(() => {})
  }

  /** In the tab that keeps the stream nothing but questions is heard. */
  private hear(word: Word): void {
    if (this.isKeeper) {
      if ('ask' in word) this.tabs?.postMessage({ link: this.link } satisfies Word)
    } else if ('event' in word) this.take(word.event)
    else if ('open' in word) this.listener.onOpen(word.open)
    else if ('link' in word) this.tell(word.link.state, word.link.since)
  }

  private async keep(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      const goesOn = await this.follow(stopping).catch(() => true)
      if (stopping.aborted || !goesOn) return
      this.tell('reconnecting')
      await this.wait()
      if (this.link.state === 'reconnecting' && Date.now() - this.link.since > LOST_MS)
        this.tell('lost', this.link.since)
    }
  }

  /** False where trying again makes no sense before somebody signs in. */
  private async follow(stopping: AbortSignal): Promise<boolean> {
    const quiet = new AbortController()
    let timer = setTimeout(() => quiet.abort(), QUIET_MS)
    try {
      const response = await fetch(ADDRESS, {
        headers: this.lastId ? { 'Last-Event-ID': this.lastId } : {},
        signal: AbortSignal.any([stopping, quiet.signal]),
      })
      if (response.status === 401) setSession('out')
      if (response.status === 401 || response.status === 403) return false
      if (!response.ok || response.body === null) throw problemOf(response.status, null)
      const isResumed = this.lastId !== ''
      this.listener.onOpen(isResumed)
      this.tabs?.postMessage({ open: isResumed } satisfies Word)
      this.pause = FIRST_PAUSE_MS
      this.tell('live')
      const reader = new EventReader()
      for await (const piece of pieces(response.body)) {
        clearTimeout(timer)
        timer = setTimeout(() => quiet.abort(), QUIET_MS)
        for (const event of reader.read(piece)) {
          this.take(event)
          this.tabs?.postMessage({ event } satisfies Word)
        }
      }
      return true
    } finally {
      clearTimeout(timer)
    }
  }

  private take(event: ServerEvent): void {
    if (event.id) this.lastId = event.id
    this.listener.onEvent(event)
  }

  private wait(): Promise<void> {
    const pause = this.pause * (0.75 + Math.random() / 2)
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS)
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pause)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private tell(state: LinkState, since = Date.now()): void {
    if (this.link.state === state || (state === 'reconnecting' && this.link.state === 'lost')) return
    this.link = { state, since }
    if (this.isKeeper) this.tabs?.postMessage({ link: this.link } satisfies Word)
    for (const watcher of this.watchers) watcher()
  }
}

async function* pieces(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield decoder.decode(value, { stream: true })
    }
  } finally {
    void reader.cancel().catch(() => {})
  }
}
