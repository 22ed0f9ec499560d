// The addresses of the console. A page more is a route here, a line in pages.ts, and a feature folder.
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { HomePage } from '../features/home/home_page'
import type { InstanceTab } from '../features/instance/instance_page'
import type { InstanceSearch } from '../features/instance/instance_queries'
import type { NodeSearch } from '../features/node/node_queries'
import { Broken } from './broken'
import { MissingPage } from './missing_page'
import { Root } from './root'
import { list, text } from './search'

export interface RouterContext {
  /** What went wrong with the link in the address that was to sign in. */
  trouble: unknown
}

const root = createRootRouteWithContext<RouterContext>()({
  component: Root,
  notFoundComponent: MissingPage,
  errorComponent: Broken,
})

const home = createRoute({ getParentRoute: () => root, path: '/', component: HomePage })

const instances = createRoute({
  getParentRoute: () => root,
  path: '/instances',
  validateSearch: (given): InstanceSearch => ({
    prefix: text(given['prefix']),
    state: list<NonNullable<InstanceSearch['state']>[number]>(given['state']),
    node: text(given['node']),
    cursor: text(given['cursor']),
  }),
  component: lazyRouteComponent(() => import('../features/instance/instance_list'), 'InstanceList'),
})

const instance = createRoute({
  getParentRoute: () => root,
  path: '/instances/$id',
  validateSearch: (given): { tab?: InstanceTab } => ({ tab: text(given['tab']) as InstanceTab | undefined }),
  component: lazyRouteComponent(() => import('../features/instance/instance_page'), 'InstancePage'),
})

const nodes = createRoute({
  getParentRoute: () => root,
  path: '/nodes',
  validateSearch: (given): NodeSearch => ({
    status: text(given['status']) as NodeSearch['status'],
    label: text(given['label']),
    cursor: text(given['cursor']),
  }),
  component: lazyRouteComponent(() => import('../features/node/node_list'), 'NodeList'),
})

export function makeRouter(context: RouterContext) {
  return createRouter({
    context,
    routeTree: root.addChildren([home, instances, instance, nodes]),
    defaultPreload: 'intent',
    defaultErrorComponent: Broken,
    defaultNotFoundComponent: MissingPage,
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>
  }
}
