// Loads the watch over other people's rules once the start is over, and keeps it until the signal.
import { setTimeout as delay } from 'node:timers/promises'
import type { Self } from '../../backend/backend.ts'
import type { Bell } from '../../sys/bell.ts'
import { log } from '../../sys/log.ts'
import type { Network } from '../network.ts'
import type { Options } from '../options.ts'
import type { Report } from '../report.ts'

const logger = log.from('walls.ts')
/** The data plane comes first. */
const FIRST_MS = 1_000

export interface FollowParts {
  readonly options: Options
  readonly network: Network
  readonly report: Report
  readonly self: () => Self
  /** Rung when that may be another. */
  readonly moved: Bell
}

/** Never returns: rejects with the signal's reason. */
export async function followWalls(
  { options, network, report, self, moved }: FollowParts,
  signal: AbortSignal,
): Promise<never> {
  await delay(FIRST_MS, undefined, { signal })
  const [{ WallWatch }, { FirewalldKeeper }] = await Promise.all([
    import('./watch.ts'),
    import('./firewalld.ts'),
  ])
  const firewalld = new FirewalldKeeper(options['state-dir'], options.firewalld === 'auto')
  let watch: InstanceType<typeof WallWatch>
  try {
    watch = new WallWatch({ network, self, firewalld, moved })
  } catch (error) {
    logger.warning(`what other rules do to packets of pods can't be seen: ${String(error)}`)
    return await forever(signal)
  }
  using open = watch
  report.walls = () => open.report()
  try {
    return await open.follow(signal)
  } finally {
    report.walls = undefined
  }
}

const forever = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
