// The commands of `heddle lab`.
import { buildRouteMap } from '@stricli/core'
import { checkCommand } from './check.ts'
import { downCommand } from './down.ts'
import { execCommand } from './exec.ts'
import { holdCommand, relayCommand } from './inner.ts'
import { logsCommand } from './logs.ts'
import { statusCommand } from './status.ts'
import { upCommand } from './up.ts'

export const labRoutes = buildRouteMap({
  routes: {
    up: upCommand,
    check: checkCommand,
    status: statusCommand,
    exec: execCommand,
    logs: logsCommand,
    down: downCommand,
    hold: holdCommand,
    relay: relayCommand,
  },
  docs: {
    brief: 'A real network of several hosts on this machine, in network namespaces',
    hideRoute: { hold: true, relay: true },
  },
})
