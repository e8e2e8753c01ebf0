// Kernel modules: loaded by modprobe where this process may.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** CAP_SYS_MODULE (linux/capability.h). */
const CAP_SYS_MODULE = 16n

/** Undefined once it is there; else why not. Without CAP_SYS_MODULE nothing is tried. */
export function loadModule(name: string): Promise<string | undefined> {
  if (!mayLoad()) return Promise.resolve('flanneld may load none')
  return new Promise((resolve) => {
    execFile('modprobe', ['--', name], { timeout: 10_000, killSignal: 'SIGKILL' }, (error, _out, stderr) => {
      if (error === null) resolve(undefined)
      else if (error.code === 'ENOENT') resolve('there is no modprobe here')
      else resolve(stderr.trim().split('\n').at(-1) || error.message)
    })
  })
}

/** By the capabilities in force, `CapEff` of /proc/self/status. */
function mayLoad(): boolean {
  const effective = /^CapEff:\s*([\da-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_SYS_MODULE) & 1n) === 1n
}
