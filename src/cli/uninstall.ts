// `heddle uninstall`: what flanneld, heddle's or upstream's, has left on this host goes.
import { buildCommand } from '@stricli/core'
import type { Context } from './context.ts'

interface Flags {
  readonly 'dry-run': boolean
  readonly force: boolean
}

export const uninstallCommand = buildCommand<Flags, string[], Context>({
  docs: {
    brief: "Remove all that is flannel's on this host, and its lease; flanneld's flags go behind --",
    customUsage: ['[--dry-run] [--force]', '--dry-run -- --etcd-endpoints=http://10.0.0.1:2379'],
    fullDescription: [
      'Remove what flanneld has made on this host: VXLAN devices, routes, next hops, nf_tables rules, files, the bridge of',
      'pods that are gone, and its lease. It needs no running daemon and no store: where the store does not answer within',
      'seconds the lease is left to end by itself. It goes by proof: names with their VNI, route protocol 104, the ids of',
      "next hops, the record of the lease. What may be flannel's but bears no such mark is named and stays.",
      "Give flanneld's own flags behind --, if it has others than those of its conf file and the environment.",
      'It needs root, for a dry run too.',
      'Exit code 0 if nothing is left, 1 if something is or a flanneld still runs, 2 if the flags are refused.',
    ].join('\n'),
  },
  parameters: {
    flags: {
      'dry-run': {
        kind: 'boolean',
        brief: 'Only tell what would be removed',
        default: false,
        withNegated: false,
      },
      force: {
        kind: 'boolean',
        brief: 'Though a flanneld runs, which puts back what it can',
        default: false,
        withNegated: false,
      },
    },
    positional: {
      kind: 'array',
      parameter: { brief: "flanneld's flags", placeholder: 'flags behind --', parse: String },
    },
  },
  loader: async () => {
    const { uninstallMain } = await import('../daemon/uninstall/main.ts')
    return async function uninstall(this: Context, flags: Flags, ...words: string[]) {
      const { stdout, stderr } = this.process
      this.process.exitCode = await uninstallMain(
        words,
        { isDryRun: flags['dry-run'], isForced: flags.force },
        { out: (text) => stdout.write(text), err: (text) => stderr.write(`heddle: ${text}`) },
      )
    }
  },
})
