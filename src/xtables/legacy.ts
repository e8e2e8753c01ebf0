// The tables of iptables-legacy, read from the kernel: no process, no lock. Nobody tells when they change.
import { readFileSync } from 'node:fs'
import type { Family } from '../model/ip.ts'
import { hash64 } from '../sys/hash.ts'
import { close, getsockoptInto, isSysError, socket } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { Entries, type TableInfo } from './entries.ts'
import { XtablesError } from './error.ts'

/** Any socket of the family may ask; iptables itself takes a raw one, which wants CAP_NET_RAW besides CAP_NET_ADMIN. */
const SOCK_DGRAM = 2
/** IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, which IPv6 numbers alike; `level` is SOL_IP or SOL_IPV6. */
const GET_INFO = 64
const GET_ENTRIES = 65
const SOCKETS = {
  ipv4: { domain: 2, level: 0, names: 'ip_tables_names' },
  ipv6: { domain: 10, level: 41, names: 'ip6_tables_names' },
} as const

/** struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size. */
const INFO = { bytes: 84, validHooks: 32, hookEntry: 36, underflow: 56, size: 80 } as const
/** struct ipt_get_entries: name, size, padding; then the entries. */
const ENTRIES = { size: 32, head: 40 } as const
const NAME_BYTES = 32
/** A table that others replace between two calls is asked for again. */
const TRIES = 16

export class LegacyTables implements Disposable {
  readonly #namespace: Namespace | undefined
  readonly #sockets = new Map<Family, number>()
  readonly #info = new Uint8Array(INFO.bytes)
  /** Read again and again: as large as the largest table so far. */
  #entries = new Uint8Array(64 << 10)

  /** Those of `namespace`, else of this thread's. Nothing is opened before something is read. */
  constructor(namespace?: Namespace) {
    this.#namespace = namespace
  }

  /**
   * Names of the tables there are (`nat`, `filter`, …). To ask the kernel for another would make it: nobody must.
   * None where the kernel has no legacy tables at all.
   */
  names(family: Family): ReadonlySet<string> {
    const read = () => {
      try {
        return readFileSync(`/proc/thread-self/net/${SOCKETS[family].names}`, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
        throw error
      }
    }
    const text = this.#namespace === undefined ? read() : this.#namespace.run(read)
    return new Set(text.split('\n').filter((name) => name !== ''))
  }

  /** Good until the next reading; undefined where there is no such table. Throws SysError and XtablesError. */
  read(family: Family, table: string): Entries | undefined {
    if (!this.names(family).has(table)) return undefined
    for (let tries = 1; tries <= TRIES; tries++) {
      try {
        return this.#readOnce(family, table)
      } catch (error) {
        if (isSysError(error, 'ENOENT')) return undefined
        if (!isSysError(error, 'EAGAIN')) throw error
      }
    }
    throw new XtablesError('unreadable', `table ${table} changed during each of ${TRIES} reads`)
  }

  #readOnce(family: Family, table: string): Entries {
    const { level } = SOCKETS[family]
    const fd = this.#socket(family)
    writeName(this.#info, table)
    getsockoptInto(fd, level, GET_INFO, this.#info)
    const info = parseInfo(this.#info)
    const bytes = ENTRIES.head + info.sizeBytes
    if (this.#entries.length < bytes) this.#entries = new Uint8Array(2 * bytes)
    const request = this.#entries.subarray(0, bytes)
    request.fill(0, 0, ENTRIES.head)
    writeName(request, table)
    new DataView(request.buffer).setUint32(ENTRIES.size, info.sizeBytes, true)
    getsockoptInto(fd, level, GET_ENTRIES, request)
    return new Entries(family, info, request.subarray(ENTRIES.head))
  }

  #socket(family: Family): number {
    const open = this.#sockets.get(family)
    if (open !== undefined) return open
    const make = () => socket(SOCKETS[family].domain, SOCK_DGRAM, 0)
    const fd = this.#namespace === undefined ? make() : this.#namespace.run(make)
    this.#sockets.set(family, fd)
    return fd
  }

  [Symbol.dispose](): void {
    for (const fd of this.#sockets.values()) close(fd)
    this.#sockets.clear()
  }
}

/** Of a chain and the builtin one that leads to it, without counters; undefined where the chain isn't there. */
export function legacyImprint(entries: Entries | undefined, chain: string, from: string): bigint | undefined {
  if (entries === undefined || !entries.chains().includes(chain)) return undefined
  return hash64(Buffer.concat([...entries.imprint([chain, from])]))
}

function writeName(bytes: Uint8Array, table: string): void {
  bytes.fill(0, 0, NAME_BYTES)
  bytes.set(Buffer.from(table, 'latin1').subarray(0, NAME_BYTES - 1))
}

function parseInfo(bytes: Uint8Array): TableInfo {
  const view = new DataView(bytes.buffer)
  const five = (from: number) => [0, 1, 2, 3, 4].map((i) => view.getUint32(from + 4 * i, true))
  return {
    validHooks: view.getUint32(INFO.validHooks, true),
    hookEntry: five(INFO.hookEntry),
    underflow: five(INFO.underflow),
    sizeBytes: view.getUint32(INFO.size, true),
  }
}
