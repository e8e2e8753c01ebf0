// `heddle drift`: what isn't in the kernel as it should be.
import { buildCommand } from '@stricli/core'
import type { Context } from './context.ts'
import { JSON_FLAG, SOCKET_FLAG } from './daemon-flags.ts'

export interface DriftFlags {
  readonly json: boolean
  readonly watch: boolean
  readonly socket: string | undefined
}

export const driftCommand = buildCommand<DriftFlags, string[], Context>({
  docs: {
    brief: "Show what isn't in the kernel as it should be; flanneld's flags go behind --",
    customUsage: ['[--json] [--watch] [--socket PATH]', '-- --etcd-endpoints=http://10.0.0.1:2379'],
    fullDescription: [
      'Compare what should be in the kernel with what is: links, addresses, routes, neighbours, FDB, next hops, nf_tables',
      'tables; and tell refused leases, what the kernel refuses, fights and repairs. It changes nothing. A running flanneld',
      'is asked over its status socket and compares afresh. Where none runs, what it would want is computed from the store;',
      "where that can't be read, the objects in the kernel are compared with each other, and what isn't known is said.",
      "Give flanneld's own flags behind --, if it has others than those of its conf file and the environment.",
      'It needs root, to read all tables of the kernel.',
      '--watch prints changes as they come, until it is interrupted; it needs a running flanneld.',
      "Exit code 0 if nothing differs, 1 if something does, 2 if the arguments are refused, 3 if it can't be told.",
    ].join('\n'),
  },
  parameters: {
    flags: {
      json: JSON_FLAG,
      watch: { kind: 'boolean', brief: 'Go on, and print what changes', default: false, withNegated: false },
      socket: SOCKET_FLAG,
    },
    positional: {
      kind: 'array',
      parameter: { brief: "flanneld's flags", placeholder: 'flags behind --', parse: String },
    },
  },
  loader: async () => {
    const { driftMain } = await import('./drift/run.ts')
    return async function drift(this: Context, flags: DriftFlags, ...words: string[]) {
      this.process.exitCode = await driftMain(this, flags, words)
    }
  },
})
