// Which iptables are installed: of each flavour and family its programs and version. Both flavours may be, and a plain
// `iptables` may be either.
import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Family } from '../model/ip.ts'
import type { IptablesFlavour } from '../model/kernel.ts'
import { log } from '../sys/log.ts'
import { run } from './run.ts'

const logger = log.from('tools.ts')

export interface Tool {
  readonly flavour: IptablesFlavour
  readonly family: Family
  /** `1.8.9`. */
  readonly version: string
  /** Paths of iptables itself, its iptables-save and its iptables-restore. */
  readonly main: string
  readonly save: string
  readonly restore: string
  /** iptables-restore has `--wait` since 1.6.2; before, it took no lock. */
  readonly waits: boolean
  /** MASQUERADE has `--random-fully` since 1.6.2. */
  readonly randomFully: boolean
}

const BASE = { ipv4: 'iptables', ipv6: 'ip6tables' } as const
const SUFFIX = { legacy: '-legacy', nf_tables: '-nft' } as const
/** Where they are though a service's PATH may not say so. */
const USUAL = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']

const searched = (): string[] => [
  ...new Set([...(process.env['PATH'] ?? '').split(':').filter((f) => f.startsWith('/')), ...USUAL]),
]

/**
 * The tool of a flavour and family in the first of these folders (those of PATH and the usual ones unless given),
 * undefined where there is none, or none that tells its version. Asks it once per file.
 */
export async function findTool(
  flavour: IptablesFlavour,
  family: Family,
  signal: AbortSignal,
  folders: readonly string[] = searched(),
): Promise<Tool | undefined> {
  for (const name of [`${BASE[family]}${SUFFIX[flavour]}`, BASE[family]]) {
    const [main, save, restore] = ['', '-save', '-restore'].map((end) => executable(`${name}${end}`, folders))
    if (main === undefined || save === undefined || restore === undefined) continue
    const found = parseVersion(await versionText(main, signal))
    if (found?.flavour !== flavour) continue
    const { version } = found
    const isNew = atLeast(version, [1, 6, 2])
    return { flavour, family, version, main, save, restore, waits: isNew, randomFully: isNew }
  }
  return undefined
}

/** What `iptables` (or `ip6tables`) without a suffix is; undefined where there is none. */
export async function usualFlavour(
  family: Family,
  signal: AbortSignal,
  folders: readonly string[] = searched(),
): Promise<IptablesFlavour | undefined> {
  const main = executable(BASE[family], folders)
  return main === undefined ? undefined : parseVersion(await versionText(main, signal))?.flavour
}

function executable(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch (error) {
      if (!EXPECTED.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return undefined
}
const EXPECTED: ReadonlySet<string> = new Set(['ENOENT', 'EACCES', 'ENOTDIR', 'ELOOP'])

/** It takes milliseconds. */
const VERSION_MS = 2_000
/** By path, and by what tells a file from the one that is installed over it. */
const versions = new Map<string, string>()

async function versionText(path: string, signal: AbortSignal): Promise<string> {
  const { ino, mtimeMs } = statSync(path)
  const key = `${path} ${realpathSync(path)} ${ino} ${mtimeMs}`
  const known = versions.get(key)
  if (known !== undefined) return known
  try {
    const { stdout } = await run(path, ['-V'], {
      signal: AbortSignal.any([signal, AbortSignal.timeout(VERSION_MS)]),
    })
    versions.set(key, stdout)
    return stdout
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    logger.warning(`${path} doesn't tell its version (${why}), and is taken for not installed`, { key: path })
    return ''
  }
}

/** `iptables v1.8.9 (nf_tables)`; before 1.8 there was one flavour, which had no name. */
export function parseVersion(text: string): { version: string; flavour: IptablesFlavour } | undefined {
  const [, version, flavour] = /v(\d+(?:\.\d+)+)(?:\s+\((\w+)\))?/.exec(text) ?? []
  if (version === undefined) return undefined
  return { version, flavour: flavour === 'nf_tables' ? 'nf_tables' : 'legacy' }
}

function atLeast(version: string, least: readonly number[]): boolean {
  const have = version.split('.').map(Number)
  for (const [i, number] of least.entries()) {
    const own = have[i] ?? 0
    if (own !== number) return own > number
  }
  return true
}
