// Regenerates docs/metrics.md from the metrics themselves: `node_modules/.bin/bun scripts/gen-metrics.ts`. With --check
// nothing is written and a difference ends in exit code 1.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Health } from '../src/daemon/health.ts'
import { allMetrics } from '../src/daemon/metrics.ts'
import { Report } from '../src/daemon/report.ts'
import { StoreWatch } from '../src/daemon/store-watch.ts'
import type { Metric } from '../src/sys/counters.ts'

const path = join(import.meta.dirname, '..', 'docs', 'metrics.md')

const HEAD = `# Metrics

\`flanneld --healthz-port=8471\` serves them at \`http://HOST:8471/metrics\` in Prometheus' text form; the UNIX socket of
\`--status-socket\` has them too. They are computed when they are asked for: who doesn't scrape pays nothing. What isn't
known yet is absent. This page is made from the code (\`scripts/gen-metrics.ts\`).
`

/** Each with what it is for. */
const TAIL = `
## Alerts worth having

| alert | expression |
|---|---|
| a host's network is not ready | \`heddle_ready == 0\` for 5 minutes |
| peers that can't be reached | \`heddle_peers_wanted - heddle_peers_programmed > 0\` for 2 minutes |
| keys in the store that are refused | \`heddle_leases_refused > 0\` |
| the store is lost | \`heddle_store_watch_up{watch="leases"} == 0 or heddle_store_watch_age_seconds > 150\` |
| something keeps breaking the data plane | \`increase(heddle_repairs_total[10m]) > 20\` |
| the lease isn't renewed (with upstream's margin of an hour) | \`heddle_lease_expiry_timestamp_seconds - time() < 1800\` |
| a certificate ends | \`heddle_certificate_expiry_timestamp_seconds - time() < 14 * 86400\` |
| a subnet was lost to another host: its pods must be restarted | \`increase(heddle_leases_lost_total[1h]) > 0\` |
`

const cell = (text: string): string => text.replaceAll('|', '\\|')
const row = ({ name, type, labelNames, help }: Metric): string =>
  `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${cell(help)} |`

function page(): string {
  using storeWatch = new StoreWatch({ graceMs: 0, onLong: () => undefined })
  const report = new Report(storeWatch)
  const metrics = allMetrics(report, new Health(report)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return `${HEAD}\n| name | type | labels | meaning |\n|---|---|---|---|\n${metrics.map(row).join('\n')}\n${TAIL}`
}

if (process.argv.includes('--check')) {
  if (readFileSync(path, 'utf8') !== page()) {
    process.stderr.write("docs/metrics.md isn't what the metrics are: run scripts/gen-metrics.ts\n")
    process.exitCode = 1
  }
} else writeFileSync(path, page())
