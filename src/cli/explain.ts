// `heddle explain ADDRESS`: what the kernel does with a packet to it.
import { buildCommand } from '@stricli/core'
import type { Context } from './context.ts'
import { JSON_FLAG, SOCKET_FLAG } from './daemon-flags.ts'

export interface ExplainFlags {
  readonly from: string | undefined
  readonly json: boolean
  readonly socket: string | undefined
}

export const explainCommand = buildCommand<ExplainFlags, string[], Context>({
  docs: {
    brief:
      'Show hop by hop what the kernel does with a packet to ADDRESS, and the first thing that is missing',
    customUsage: ['10.5.3.7', '10.5.3.7 --from 10.5.1.4', 'fd00:10:5:3::7 --json -- --subnet-file=PATH'],
    fullDescription: [
      "Ask the kernel which way a packet to ADDRESS takes, and follow it: route, next hop, link, the gateway's neighbour",
      'entry, the FDB entry of its MAC, the route of the outer packet, the link between hosts and the neighbour there; for',
      'pods of this host the bridge and its port; for addresses outside the masquerading. It needs no running flanneld; one',
      'that runs is asked what it knows of the lease. It changes nothing.',
      "--from takes a pod's address: the packet is one that this host forwards; or one of this host's own.",
      "flanneld's own flags go behind --, if it has others than those of its conf file and the environment.",
      'Exit code 0 if nothing is missing, 1 if something is, 2 if the arguments are refused, 3 if it is not known.',
    ].join('\n'),
  },
  parameters: {
    flags: {
      from: {
        kind: 'parsed',
        parse: String,
        brief: 'Where the packet comes from: an address of this host, or of a pod',
        placeholder: 'ADDRESS',
        optional: true,
      },
      json: JSON_FLAG,
      socket: SOCKET_FLAG,
    },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { brief: "ADDRESS, then flanneld's flags after --", placeholder: 'ADDRESS', parse: String },
    },
  },
  loader: async () => {
    const { explainMain } = await import('./explain/run.ts')
    return async function explain(this: Context, flags: ExplainFlags, address = '', ...words: string[]) {
      this.process.exitCode = await explainMain(this, flags, address, words)
    }
  },
})
