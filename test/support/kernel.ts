// A fresh network namespace for one test, with what tests ask of it: `await using host = await kernel()`.
import { spawn } from 'node:child_process'
import { changeLink, getLink, type LinkInfo, parseLink } from '../../src/netlink/link.ts'
import { NetlinkSocket, type Protocol } from '../../src/netlink/socket.ts'
import { Namespace } from '../../src/sys/namespace.ts'

export class TestHost implements AsyncDisposable {
  readonly namespace: Namespace
  readonly #sockets = new Map<Protocol, NetlinkSocket>()

  constructor(namespace: Namespace) {
    this.namespace = namespace
  }

  /** Runs a shell command in the namespace; its stdout. Throws with its stderr if it fails. */
  async sh(command: string): Promise<string> {
    const child = spawn('nsenter', [`--net=${this.namespace.path}`, 'sh', '-ec', command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [out, err, status] = await Promise.all([
      collect(child.stdout),
      collect(child.stderr),
      new Promise<string>((resolve, reject) => {
        child.on('error', reject)
        child.on('close', (code, signal) => resolve(signal ?? `${code}`))
      }),
    ])
    if (status !== '0') throw new Error(`\`${command}\` ended with ${status}: ${err.trim() || out.trim()}`)
    return out
  }

  /** What `ip -json …` prints, read. */
  async ipJson(args: string): Promise<readonly Record<string, unknown>[]> {
    const out = await this.sh(`ip -json ${args}`)
    return out.trim() === '' ? [] : (JSON.parse(out) as Record<string, unknown>[])
  }

  /** The namespace's request socket; one a protocol, closed with the host. */
  netlink(protocol: Protocol = 'route'): NetlinkSocket {
    const open = this.#sockets.get(protocol) ?? NetlinkSocket.open(protocol, this.namespace)
    this.#sockets.set(protocol, open)
    return open
  }

  link(name: string): LinkInfo {
    const [reply] = this.netlink().request(getLink(name))
    if (reply === undefined) throw new Error(`the kernel says nothing about link ${name}`)
    return parseLink(reply.body)
  }

  index(name: string): number {
    return this.link(name).index
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.values()) socket[Symbol.dispose]()
    this.namespace[Symbol.dispose]()
  }
}

/** Loopback is up; nothing else is there. It goes when it is disposed and its last process has ended. */
export async function kernel(): Promise<TestHost> {
  const host = new TestHost(Namespace.create())
  host.netlink().request(changeLink('lo', { up: true }))
  return host
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}
