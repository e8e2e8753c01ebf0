// Settings of connection tracking, as kube-proxy's options of the same names mean them (Kubernetes 1.36,
// pkg/proxy/conntrack/sysctls.go), but that a table which is larger already stays as it is. Pure.
import { sysctl, type Sysctl } from '../model/kernel.ts'

export interface ConntrackWish {
  /** 0: the size of the table is left alone, whatever `min` says. */
  readonly maxPerCore: number
  readonly min: number
  /** 0: left alone. */
  readonly tcpEstablishedSeconds: number
  readonly tcpCloseWaitSeconds: number
}

/** So that hosts of many cores don't spend gigabytes. */
const MOST = 1_048_576
const DIRECTORY = 'net/netfilter'
const MAX = `${DIRECTORY}/nf_conntrack_max`
const BUCKETS = `${DIRECTORY}/nf_conntrack_buckets`
/** Entries a bucket. */
const LOAD = 4

/** Entries to have room for; undefined where that is left alone. */
export function conntrackMax({ maxPerCore, min }: ConntrackWish, cores: number): number | undefined {
  if (maxPerCore === 0) return undefined
  const scaled = maxPerCore * cores
  if (scaled > MOST) return MOST
  return Math.max(scaled, min)
}

export function conntrackSettings(wish: ConntrackWish, cores: number): Sysctl[] {
  const max = conntrackMax(wish, cores)
  return [
    ...(max === undefined ? [] : tableSettings(max)),
    ...timeout('established', wish.tcpEstablishedSeconds),
    ...timeout('close-wait', wish.tcpCloseWaitSeconds),
  ]
}

/** A larger table needs more buckets, else each look into it takes long: without them it stays as it is. */
function tableSettings(max: number): Sysctl[] {
  const buckets = Math.floor(max / LOAD)
  return [
    sysctl({
      name: BUCKETS,
      value: buckets,
      fine: 'greater',
      why: `buckets for ${max} tracked connections`,
      module: 'nf_conntrack',
      undo: 'restore',
    }),
    sysctl({
      name: MAX,
      value: max,
      fine: 'greater',
      why: '--conntrack-max-per-core and --conntrack-min',
      module: 'nf_conntrack',
      needs: [
        {
          name: BUCKETS,
          least: buckets,
          else: `it would have too few buckets: on the host, sysctl -w net.netfilter.nf_conntrack_buckets=${buckets} first`,
        },
      ],
      undo: 'restore',
    }),
  ]
}

function timeout(state: 'established' | 'close-wait', seconds: number): Sysctl[] {
  if (seconds === 0) return []
  return [
    sysctl({
      name: `${DIRECTORY}/nf_conntrack_tcp_timeout_${state.replace('-', '_')}`,
      value: seconds,
      why: `--conntrack-tcp-timeout-${state}`,
      module: 'nf_conntrack',
      undo: 'restore',
    }),
  ]
}
