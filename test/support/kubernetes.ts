// Tests that meet Kubernetes' own programs.
import { beforeAll } from 'bun:test'
import { buildKubernetesPeers } from '../../scripts/kube-peers.ts'

const BUILD_MS = 1_800_000

/** They may have to be built first, which no test of them has the time for. */
export const needsKubernetes = (): void => beforeAll(buildKubernetesPeers, BUILD_MS)
