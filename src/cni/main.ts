// The CNI plugin `flannel` as a runtime calls it: a command in the environment, the network's config on stdin, the
// answer on stdout. It lives for milliseconds: what one command doesn't need isn't loaded for it.
import { readFileSync, writeSync } from 'node:fs'
import { commandOf, parseCall, type Call, type Command } from './call.ts'
import { add, del } from './commands.ts'
import { asCniError, Code, CniError, formatError } from './error.ts'
import { atLeast, formatVersions, SUPPORTED, type CniVersion } from './versions.ts'

/** The exit code: 0, or 1 with the error on stdout. */
export async function cniMain(): Promise<number> {
  const command = process.env['CNI_COMMAND'] ?? ''
  if (command === '') {
    write(2, await about())
    return 0
  }
  let version: CniVersion | undefined
  try {
    if (command === 'VERSION') write(1, formatVersions())
    else {
      const checked = commandOf(process.env)
      const call = parseCall(checked, process.env, readStdin())
      version = call.version
      write(1, await run(call))
    }
    return 0
  } catch (error) {
    write(1, formatError(asCniError(error), version))
    return 1
  }
}

/** From which version of the config on a command may be called. */
const SINCE: Record<Command, CniVersion> = {
  ADD: '0.1.0',
  DEL: '0.1.0',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
}

async function run(call: Call): Promise<string> {
  if (!atLeast(call.version, SINCE[call.command]))
    throw new CniError(Code.incompatibleVersion, `config version does not allow ${call.command}`)
  switch (call.command) {
    case 'ADD':
      return add(call)
    case 'DEL':
      return del(call)
    case 'CHECK': {
      const { check } = await import('./check.ts')
      return check(call)
    }
    case 'STATUS': {
      const { status } = await import('./status.ts')
      return status(call)
    }
    case 'GC': {
      const { collectGarbage } = await import('./gc.ts')
      return collectGarbage(call)
    }
    default:
      return call.command satisfies never
  }
}

async function about(): Promise<string> {
  const { VERSION } = await import('../model/version.ts')
  const arch = { x64: 'amd64' }[process.arch as string] ?? process.arch
  return (
    `CNI Plugin flannel version ${VERSION} (linux/${arch}) of heddle\n` +
    `CNI protocol versions supported: ${SUPPORTED.join(', ')}\n`
  )
}

function readStdin(): string {
  try {
    return readFileSync(0, 'utf8')
  } catch (cause) {
    throw new CniError(Code.io, `error reading from stdin: ${asCniError(cause).message}`, '', cause)
  }
}

/** All of it, now: the process ends right after. */
function write(fd: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length;)
    try {
      at += writeSync(fd, bytes, at)
    } catch (error) {
      // The runtime's pipe is full and doesn't block: it reads in a moment.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
}
