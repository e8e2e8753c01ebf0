// The commands of `heddle config`.
import { buildRouteMap } from '@stricli/core'
import { showCommand } from './show.ts'

export const configRoutes = buildRouteMap({
  routes: { show: showCommand },
  docs: { brief: "flanneld's options: flags, environment, conf file" },
})
