// The icon and the colour of each state. Full disc: settled. Ring: rests. Arc: in motion. Dashed: not known.
import type { Color, IconName } from './icon'

interface Look {
  icon: IconName
  color: Color
  spins?: boolean
}

const look = (icon: IconName, color: Color, spins = false): Look => ({ icon, color, spins })

export const STATES = {
  instance: {
    creating: look('create', 'blue'),
    preparing: look('pull', 'blue'),
    starting: look('start', 'blue'),
    ready: look('ok', 'green'),
    restarting: look('restart', 'amber'),
    stopping: look('stopping', 'blue'),
    stopped: look('stop', 'grey'),
    crash_loop: look('crash', 'red'),
    failed: look('fail', 'red'),
    unknown: look('unknown', 'grey'),
    deleting: look('trash', 'grey'),
    deleted: look('trash', 'grey'),
  },
  run: {
    queued: look('wait', 'grey'),
    running: look('run', 'blue', true),
    paused: look('pause', 'amber'),
    succeeded: look('ok', 'green'),
    failed: look('fail', 'red'),
    canceled: look('cancel', 'grey'),
  },
  step: {
    pending: look('pend', 'grey'),
    waiting_node: look('wait', 'grey'),
    pulling: look('pull', 'blue'),
    starting: look('start', 'blue'),
    running: look('run', 'blue', true),
    approval: look('ask', 'amber'),
    held: look('hold', 'amber'),
    succeeded: look('ok', 'green'),
    failed: look('fail', 'red'),
    error: look('error', 'red'),
    canceled: look('cancel', 'grey'),
    skipped: look('skip', 'grey'),
  },
  node: {
    online: look('ok', 'green'),
    suspect: look('suspect', 'amber'),
    offline: look('offline', 'red'),
    never_seen: look('pend', 'grey'),
    maintenance: look('wrench', 'amber'),
    disabled: look('cancel', 'grey'),
  },
  alarm: {
    critical: look('error', 'red'),
    warning: look('warn', 'amber'),
    rechecking: look('suspect', 'amber'),
    acknowledged: look('eye', 'amber'),
    silenced: look('belloff', 'grey'),
    no_data: look('nodata', 'grey'),
    resolved: look('ok', 'green'),
  },
} as const satisfies Record<string, Record<string, Look>>

export type Kind = keyof typeof STATES
export type StateOf<K extends Kind> = keyof (typeof STATES)[K] & string

const NOT_KNOWN = look('unknown', 'grey')

/** A newer server may have states that this page does not know. */
export function lookOf(kind: Kind, state: string): Look {
  const known: Record<string, Look> = STATES[kind]
  return known[state] ?? NOT_KNOWN
}
