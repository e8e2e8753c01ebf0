// A host whose iptables-save fails where a chain of ours is: all else goes on, the chain is told of as one that can't be
// told, and is put right as soon as it can be read.
import { expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { soon } from '../../test/support/dataplane.ts'
import { chains, reconciler, tablesHost, TOOLS } from '../../test/support/xtables.ts'
import { sysctl } from '../model/kernel.ts'

test.each(TOOLS)(
  '$tool that can’t list its tables keeps nothing else waiting',
  async ({ flavour, family, tool }) => {
    await using host = await tablesHost()
    const [nat] = chains(flavour, family)
    const folder = mkdtempSync(join(tmpdir(), 'heddle-broken-'))
    const path = process.env['PATH'] ?? ''
    try {
      for (const end of ['', '-restore', '-save']) {
        // Lists and changes are asked of the same program, with nf_tables.
        const fails = `[ -e ${folder}/works ] || [ "$1" = -V ] || { echo "what is this?" >&2; exit 1; }\n`
        const file = join(folder, `${tool}${end}`)
        writeFileSync(file, `#!/bin/sh\n${fails}exec /usr/sbin/${tool}${end} "$@"\n`)
        chmodSync(file, 0o755)
      }
      process.env['PATH'] = `${folder}:${path}`
      await host.sh(`/usr/sbin/${tool} -t nat -N ${nat.name}`)
      const forward = sysctl({ name: 'net/ipv4/ip_forward', value: 1, why: 'to see it set', undo: 'none' })
      await using opened = reconciler(host, [nat], { auditMs: 50 })
      opened.want('other', [forward])
      await opened.settled(soon())
      const failed = [...opened.failures].map(([key, { reason }]) => `${key}: ${reason}`).join('\n')
      expect(failed).toContain('what is this?')
      expect(await host.sh('cat /proc/sys/net/ipv4/ip_forward')).toBe('1\n')
      const [drift] = await opened.drift()
      expect(drift).toMatchObject({ kind: 'iptables-chain', what: 'different' })
      writeFileSync(join(folder, 'works'), '')
      const deadline = soon()
      while ((await opened.drift()).length > 0 || opened.failures.size > 0) {
        deadline.throwIfAborted()
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    } finally {
      process.env['PATH'] = path
      rmSync(folder, { recursive: true })
    }
  },
)
