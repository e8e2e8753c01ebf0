// A router with a pod, a remote host with a pod of its own, and the outside: for tests of what rules do to packets.
import type { TestHost } from './kernel.ts'
import { Running } from './process.ts'
import { tablesHost } from './xtables.ts'

export type Place = 'pod' | 'remote' | 'outside'

/** A router (this host) with a pod, a remote host with a pod of its own, and the outside; each tells whom it hears. */
export async function network() {
  await using made = new AsyncDisposableStack()
  const host = async () => made.use(await tablesHost())
  const router = await host()
  const places = { pod: await host(), remote: await host(), outside: await host() }
  const wire = (name: Place) =>
    `ip link add to-${name} type veth peer name eth0 netns ${places[name].namespace.path}; ip link set to-${name} up`
  await router.sh(`${wire('pod')}; ${wire('remote')}; ${wire('outside')}
    ip addr add 10.42.1.1/24 dev to-pod; ip addr add fd00:42:0:1::1/64 dev to-pod nodad
    ip addr add 192.168.0.1/24 dev to-remote; ip addr add fd00:c0a8::1/64 dev to-remote nodad
    ip addr add 203.0.113.1/24 dev to-outside; ip addr add 2001:db8::1/64 dev to-outside nodad
    ip route add 10.42.2.0/24 via 192.168.0.2; ip route add fd00:42:0:2::/64 via fd00:c0a8::2
    echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`)
  const address = (name: Place, v4: string, v6: string, via4: string, via6: string) =>
    places[name].sh(`ip addr add ${v4} dev eth0; ip addr add ${v6} dev eth0 nodad; ip link set eth0 up
      ip route add default via ${via4}; ip route add default via ${via6}`)
  await Promise.all([
    address('pod', '10.42.1.5/24', 'fd00:42:0:1::5/64', '10.42.1.1', 'fd00:42:0:1::1'),
    address('remote', '192.168.0.2/24', 'fd00:c0a8::2/64', '192.168.0.1', 'fd00:c0a8::1'),
    address('outside', '203.0.113.9/24', '2001:db8::9/64', '203.0.113.1', '2001:db8::1'),
  ])
  await places.remote.sh('ip addr add 10.42.2.5/32 dev lo; ip addr add fd00:42:0:2::5/128 dev lo nodad')
  const ears = new Map<Place, { process: Running; heard: number }>()
  for (const [name, place] of Object.entries(places)) {
    const process = made.use(bun(place, LISTEN))
    ears.set(name as Place, { process, heard: 1 })
  }
  for (const { process } of ears.values()) await process.line(/ready/)
  const held = made.move()

  const send = async (from: Place, to: string, options: Record<string, unknown> = {}): Promise<void> => {
    await using sender = bun(places[from], SEND, { to, ...options })
    const { code } = await sender.ended
    if (code !== 0) throw new Error(`${from} could not send to ${to}: ${sender.tail()}`)
  }
  const next = async (name: Place): Promise<{ address: string; port: number }> => {
    const ear = ears.get(name)
    if (ear === undefined) throw new Error(`nobody listens in ${name}`)
    const line = await ear.process.line(/^{/, { from: ear.heard++ })
    return JSON.parse(line) as { address: string; port: number }
  }
  return {
    router,
    places,
    send,
    /** Of the router's own. */
    async sendFromRouter(to: string, options: Record<string, unknown> = {}): Promise<void> {
      await using sender = bun(router, SEND, { to, ...options })
      const { code } = await sender.ended
      if (code !== 0) throw new Error(`the router could not send to ${to}: ${sender.tail()}`)
    },
    /** Packets taken by `next` so far. */
    heard: (name: Place): number => (ears.get(name)?.heard ?? 1) - 1,
    next,
    /** Source address that `who` sees of a packet from `from` to `to`. */
    async seenBy(who: Place, from: Place, to: string, source?: string): Promise<string> {
      await send(from, to, { source })
      return (await next(who)).address
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

const bun = (host: TestHost, script: string, options: Record<string, unknown> = {}): Running =>
  Running.start(process.execPath, ['-e', `const options = ${JSON.stringify(options)}\n${script}`], {
    namespace: host.namespace,
  })

const LISTEN = `
  import { createSocket } from 'node:dgram'
  const socket = createSocket({ type: 'udp6', recvBufferSize: 4 << 20 })
  socket.on('message', (_, { address, port }) =>
    console.log(JSON.stringify({ address: address.replace('::ffff:', ''), port })))
  socket.bind(7777, '::', () => console.log('ready'))`

/** One packet, or many, each from a socket of its own: to the filter a new connection. */
const SEND = `
  import { createSocket } from 'node:dgram'
  const { to, source, sourcePort, count = 1, everyMs = 0 } = options
  for (let i = 0; i < count; i++) {
    const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
    await new Promise((resolve) => socket.bind(sourcePort ?? 0, source, resolve))
    await new Promise((resolve, reject) => socket.send('x', 7777, to, (e) => (e ? reject(e) : resolve())))
    socket.close()
    if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs))
  }`

export type Places = Awaited<ReturnType<typeof network>>
