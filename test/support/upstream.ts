// Tests that meet upstream's flanneld.
import { beforeAll } from 'bun:test'
import { buildUpstreamFlanneld } from '../../scripts/peers.ts'

const BUILD_MS = 600_000

/** It may have to be built first, which no test of it has the time for. */
export const needsUpstream = (): void => beforeAll(buildUpstreamFlanneld, BUILD_MS)
