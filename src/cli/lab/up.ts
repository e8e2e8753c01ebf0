// `heddle lab up`.
import { resolve } from 'node:path'
import { buildCommand } from '@stricli/core'
import { BACKENDS, DEFAULTS, parsePeer, type LabParameters } from '../../lab/plan.ts'
import type { Context } from '../context.ts'
import { COMMON_FLAGS, printJson, runCommand, type CommonFlags } from './command.ts'

interface Flags extends CommonFlags {
  readonly hosts: number | undefined
  readonly pods: number | undefined
  readonly backend: LabParameters['backend'] | undefined
  readonly store: string | undefined
  readonly network: string | undefined
  readonly peer: readonly (readonly [string, string])[] | undefined
}

export const upCommand = buildCommand<Flags, [], Context>({
  docs: {
    brief: 'Bring the lab up, or what is missing of it, and prove that it works',
    fullDescription:
      'Makes hosts, each a network namespace with a flanneld of its own, a store, and pods made by the CNI plugin; then proves that every pod reaches every other pod and the outside. The lab stays until `heddle lab down`. As root, or as any user where the kernel allows user namespaces.',
  },
  parameters: {
    flags: {
      hosts: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        brief: `How many hosts [${DEFAULTS.hosts}]`,
      },
      pods: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        brief: `How many pods on each host [${DEFAULTS.pods}]`,
      },
      backend: {
        kind: 'enum',
        values: BACKENDS,
        optional: true,
        brief: `How hosts reach each other's pods [${DEFAULTS.backend}]`,
      },
      store: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: `embedded, or etcd://HOST:PORT as reached from here [${DEFAULTS.store}]`,
      },
      network: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: `The pods' network: a CIDR of each family or of one [${DEFAULTS.network}]`,
      },
      peer: {
        kind: 'parsed',
        parse: parsePeer,
        optional: true,
        variadic: true,
        brief: "HOST=PATH: this host runs another flanneld, e.g. upstream's, instead of heddle's",
      },
      ...COMMON_FLAGS,
    },
  },
  loader: async () => {
    const { labUp } = await import('../../lab/lab.ts')
    const { showReport } = await import('./report.ts')
    return function up(this: Context, flags: Flags) {
      return runCommand(this, flags, async (run) => {
        const { json, dir: _, peer, ...rest } = flags
        const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
        const asked: Partial<LabParameters> = {
          ...given,
          ...(peer?.length
            ? { peers: Object.fromEntries(peer.map(([host, path]) => [host, resolve(path)])) }
            : {}),
        }
        const words = ['up', '--dir', run.directory.path, ...(json ? ['--json'] : [])]
        const told = await labUp({ ...run, words }, asked)
        if (told.kind === 'told') return told.code
        if (json) printJson(this, told.facts)
        else this.process.stdout.write(showReport(told.facts, 'up'))
        return told.facts.proof?.ok === true ? 0 : 1
      })
    }
  },
})

function wholeNumber(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new Error(`${text}: want a whole number`)
  return Number(text)
}
