// `heddle lab relay LISTEN TARGET`: carries TCP between two network namespaces through a UNIX socket, which belongs to
// none. Hosts of a lab reach an etcd of this machine by two of them: one in the lab, one where etcd is reached.
import { rmSync } from 'node:fs'
import { connect, createServer, type NetConnectOpts, type ListenOptions, type Socket } from 'node:net'
import { LabError } from './error.ts'

/** `unix:PATH` or `HOST:PORT` (IPv6 addresses in brackets). */
function parsePlace(
  text: string,
): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (text.startsWith('unix:')) return { path: text.slice(5) }
  const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text)
  if (match?.[1] === undefined) throw new LabError('usage', `${text}: want unix:PATH or HOST:PORT`)
  return { host: match[1], port: Number(match[2]) }
}

/** Serves until the process is ended. */
export async function relay(listenAt: string, target: string): Promise<never> {
  const listen: ListenOptions = parsePlace(listenAt)
  const to: NetConnectOpts = parsePlace(target)
  if (listen.path !== undefined) rmSync(listen.path, { force: true })
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ ...to, allowHalfOpen: true })
    far.on('error', (error) => console.error(`${target}: ${error.message}`))
    join(near, far)
    join(far, near)
  })
  server.listen(listen)
  return new Promise<never>((_, reject) => server.on('error', reject))
}

function join(from: Socket, to: Socket): void {
  from.pipe(to)
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroySoon())
}
