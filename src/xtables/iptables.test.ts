// The real tools: found with their flavours, their tables read, changed in one go, and left when told to.
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { soon } from '../../test/support/dataplane.ts'
import { tablesHost } from '../../test/support/xtables.ts'
import { FAMILIES } from '../model/ip.ts'
import { restore, saveTables } from './iptables.ts'
import { findTool, parseVersion, usualFlavour, type Tool } from './tools.ts'

const FLAVOURS = ['legacy', 'nf_tables'] as const

const failed = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'nothing was thrown',
    (error: unknown) => error,
  )

async function tool(flavour: (typeof FLAVOURS)[number]): Promise<Tool> {
  const found = await findTool(flavour, 'ipv4', soon())
  if (found === undefined) throw new Error(`no ${flavour} iptables`)
  return found
}

describe('tools', () => {
  test('are found in both flavours, for both families', async () => {
    for (const flavour of FLAVOURS)
      for (const family of FAMILIES)
        expect(await findTool(flavour, family, soon())).toMatchObject({
          flavour,
          family,
          version: expect.stringMatching(/^1\./),
          waits: true,
          randomFully: true,
        })
  })

  test('say their flavour since 1.8', () => {
    expect(parseVersion('iptables v1.8.9 (nf_tables)\n')).toEqual({ version: '1.8.9', flavour: 'nf_tables' })
    expect(parseVersion('iptables v1.8.9 (legacy)\n')).toEqual({ version: '1.8.9', flavour: 'legacy' })
    expect(parseVersion('iptables v1.4.21\n')).toEqual({ version: '1.4.21', flavour: 'legacy' })
    expect(parseVersion('')).toBeUndefined()
  })

  test('that hang, or are no programs, are none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-tools-'))
    try {
      for (const text of ['#!/bin/sh\nexec sleep 60\n', 'neither a script nor a program']) {
        for (const end of ['', '-save', '-restore'])
          writeFileSync(join(folder, `iptables${end}`), text, { mode: 0o755 })
        const found = [findTool('legacy', 'ipv4', soon(), [folder]), usualFlavour('ipv4', soon(), [folder])]
        expect(await Promise.all(found)).toEqual([undefined, undefined])
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  }, 30_000)

  test('by their plain name are of one flavour; where there are none, none is found', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-tools-'))
    try {
      expect(await findTool('legacy', 'ipv4', soon(), [folder])).toBeUndefined()
      for (const end of ['', '-save', '-restore'])
        symlinkSync('/usr/sbin/xtables-legacy-multi', join(folder, `iptables${end}`))
      expect(await findTool('legacy', 'ipv4', soon(), [folder])).toMatchObject({
        flavour: 'legacy',
        save: join(folder, 'iptables-save'),
      })
      expect(await findTool('nf_tables', 'ipv4', soon(), [folder])).toBeUndefined()
      expect(await findTool('legacy', 'ipv6', soon(), [folder])).toBeUndefined()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

for (const flavour of FLAVOURS)
  describe(`${flavour} iptables`, () => {
    test('changes tables and shows them, and leaves the rest alone', async () => {
      await using host = await tablesHost()
      const { namespace } = host
      const iptables = await tool(flavour)
      // Latin-1 is not UTF-8: bytes are bytes.
      await restore(
        iptables,
        new Map([
          ['nat', [':ONE - [0:0]', '-A POSTROUTING -m comment --comment "caf\xe9" -j ONE']],
          ['filter', ['-A FORWARD -s 10.0.0.0/8 -j ACCEPT']],
        ]),
        soon(),
        namespace,
      )
      await restore(iptables, new Map([['nat', ['-A ONE -j RETURN']]]), soon(), namespace)
      const both = await saveTables(iptables, ['nat', 'filter'], soon(), namespace)
      expect(both.get('nat')?.chains.get('POSTROUTING')?.rules).toEqual([
        '-m comment --comment "caf\xe9" -j ONE',
      ])
      expect(both.get('filter')?.chains.get('FORWARD')?.rules).toEqual(['-s 10.0.0.0/8 -j ACCEPT'])
      const nat = await saveTables(iptables, ['nat'], soon(), namespace)
      expect(nat.get('nat')?.chains.get('ONE')?.rules).toEqual(['-j RETURN'])
    })

    test('refuses a table as a whole, and says why', async () => {
      await using host = await tablesHost()
      const { namespace } = host
      const iptables = await tool(flavour)
      const payload = new Map([['nat', [':ONE - [0:0]', '-D POSTROUTING -j ONE']]] as const)
      expect(await failed(restore(iptables, payload, soon(), namespace))).toMatchObject({
        code: 'refused',
        message: expect.stringMatching(/-restore ended with 1: .*line \d/),
      })
      await host.sh(`iptables-${flavour === 'legacy' ? 'legacy' : 'nft'} -t nat -L POSTROUTING`)
      const saved = await saveTables(iptables, ['nat'], soon(), namespace)
      expect(saved.get('nat')?.chains.has('ONE')).toBe(false)
    })

    test('is not started, or ended at once, when nobody waits for it any more', async () => {
      await using host = await tablesHost()
      const iptables = await tool(flavour)
      const gone = AbortSignal.abort(new Error('enough'))
      expect(await failed(saveTables(iptables, ['nat'], gone, host.namespace))).toMatchObject({
        message: 'enough',
      })
      const missing = { ...iptables, save: '/nowhere/iptables-save' }
      expect(await failed(saveTables(missing, ['nat'], soon(), host.namespace))).toMatchObject({
        code: 'refused',
        message: expect.stringContaining("/nowhere/iptables-save can't be run"),
      })
    })
  })

test('a table that only nft has words for is told apart from one that is empty', async () => {
  await using host = await tablesHost()
  await host.sh(`nft add table ip nat
    nft add chain ip nat POSTROUTING '{ type nat hook postrouting priority 100; }'
    nft add rule ip nat POSTROUTING jhash ip saddr mod 2 1 masquerade`)
  expect(await failed(saveTables(await tool('nf_tables'), ['nat'], soon(), host.namespace))).toMatchObject({
    code: 'incompatible',
    message: expect.stringContaining('nft list table'),
  })
})
