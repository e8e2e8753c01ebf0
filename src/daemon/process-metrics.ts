// The metrics of any process, under the names that Prometheus' client libraries give them
// (prometheus.io/docs/instrumenting/writing_clientlibs, process metrics).
import { readdirSync, readFileSync } from 'node:fs'
import type { Counters } from '../sys/counters.ts'

export function registerProcess(counters: Counters): void {
  counters.reading('counter', 'process_cpu_seconds_total', 'Processor time used, user and system.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  counters.reading('gauge', 'process_resident_memory_bytes', 'Resident memory.', () =>
    process.memoryUsage.rss(),
  )
  counters.reading(
    'gauge',
    'process_start_time_seconds',
    'When the process began, in seconds since 1970.',
    () => performance.timeOrigin / 1000,
  )
  counters.reading(
    'gauge',
    'process_open_fds',
    'Open file descriptors.',
    () => readdirSync('/proc/self/fd').length,
  )
  counters.reading('gauge', 'process_max_fds', 'File descriptors there may be.', () => {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : Number(limit)
  })
}
