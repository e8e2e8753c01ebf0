// Commands that a lab calls itself with, and nobody types: the holder of an ordinary user's namespaces, and the relay
// to an etcd of this machine.
import { buildCommand } from '@stricli/core'
import type { Context, NoFlags } from '../context.ts'

export const holdCommand = buildCommand<NoFlags, [], Context>({
  docs: { brief: 'Keep the namespaces this was started in' },
  parameters: { flags: {} },
  loader: async () => (await import('../../lab/held.ts')).hold,
})

export const relayCommand = buildCommand<NoFlags, [string, string], Context>({
  docs: { brief: 'Carry TCP from one place to another: unix:PATH or HOST:PORT' },
  parameters: {
    flags: {},
    positional: {
      kind: 'tuple',
      parameters: [
        { brief: 'Where to listen', placeholder: 'listen', parse: String },
        { brief: 'Where to connect', placeholder: 'target', parse: String },
      ],
    },
  },
  loader: async () => {
    const { relay } = await import('../../lab/relay.ts')
    return async (_flags: NoFlags, listen: string, target: string): Promise<void> => {
      await relay(listen, target)
    }
  },
})
