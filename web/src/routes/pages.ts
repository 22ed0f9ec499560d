// The pages of the navigation, in its order. A page that is not built is not here.
import type { Verb } from '../api/schema'
import type { IconName } from '../components/icon'

export interface NavPage {
  to: '/' | '/instances' | '/nodes'
  word: 'home' | 'instances' | 'nodes'
  icon: IconName
  verb: Verb
}

export const PAGES: readonly NavPage[] = [
  { to: '/', word: 'home', icon: 'home', verb: 'see' },
  { to: '/instances', word: 'instances', icon: 'inst', verb: 'see' },
  { to: '/nodes', word: 'nodes', icon: 'node', verb: 'see' },
]
