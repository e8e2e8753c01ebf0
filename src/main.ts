// One program, three names: flanneld is the daemon, flannel the CNI plugin, heddle what people type. Each is
// loaded only when it is the one asked for.
import { basename } from 'node:path'

const name = basename(process.argv0)
const args = process.argv.slice(2)

async function run(): Promise<number> {
  switch (name) {
    case 'flanneld':
      return (await import('./daemon/main.ts')).flanneldMain(args)
    case 'flannel':
      return (await import('./cni/main.ts')).cniMain()
    default:
      return (await import('./cli/main.ts')).heddleMain(args)
  }
}

process.exit(await run())
