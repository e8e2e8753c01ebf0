// `heddle store`: an entry for --help; its words are handed on unread.
import { buildCommand } from '@stricli/core'
import type { Context, NoFlags } from './context.ts'

export const storeCommand = buildCommand<NoFlags, string[], Context>({
  docs: { brief: "Serve etcd's v3 API from one file, for a network without an etcd of its own" },
  parameters: {
    flags: {},
    positional: {
      kind: 'array',
      parameter: { brief: 'see heddle store --help', placeholder: 'words', parse: String },
    },
  },
  loader: async () => {
    const { storeMain } = await import('../store/embedded/main.ts')
    return async function store(this: Context, _flags: NoFlags, ...words: string[]) {
      this.process.exitCode = await storeMain(words)
    }
  },
})
