// More news than a socket holds: 20,000 changes of links and addresses, half of them of heddle's own device. What is
// broken in the middle of them nobody hears of.
import { choose, harmBy, type Fault, type Scene } from './fault.ts'

const CHANGES = 20_000
/** Lines of `ip -batch`, four changes each time; those of other links are for heddle to leave alone. */
const BATCH = `
  seq 1 ${CHANGES / 8} | while read n; do
    echo "link set storm alias storm$n"
    echo "address add 172.31.$((n / 250)).$((n % 250))/32 dev storm"
    echo "address del 172.31.$((n / 250)).$((n % 250))/32 dev storm"
    echo "link set storm mtu $((1200 + n % 100))"
    echo "link set flannel.1 txqueuelen $((1000 + n % 2))"
    echo "address add 172.31.$((n / 250)).$((n % 250))/32 dev flannel.1"
    echo "address del 172.31.$((n / 250)).$((n % 250))/32 dev flannel.1"
    echo "link set flannel.1 alias storm$n"
  done`

async function storm({ world, site }: Scene): Promise<void> {
  const before = site.overruns()
  await site.shell.run(`
    ip link add storm type bridge 2>/dev/null || :
    { ${BATCH}; } | ip -force -batch - >/dev/null 2>&1 || :`)
  world.overruns += site.overruns() - before
}

/** In the middle of the noise. */
const HARM = [
  'ip neighbour flush dev flannel.1 nud permanent',
  'ip nexthop flush dev flannel.1',
  'ip address flush dev flannel.1',
  'bridge fdb flush dev flannel.1 self',
] as const

export const STORM_FAULTS: readonly Fault[] = [
  {
    name: 'storm of changes',
    async *run(scene) {
      await storm(scene)
      await harmBy(scene, choose(scene.random, HARM))
      yield 'broken'
      yield 'over'
    },
  },
  {
    // Its sockets run over for sure: nobody reads them.
    name: 'storm of changes while flanneld is stopped',
    async *run(scene) {
      const { site, random } = scene
      site.flanneld.process.signal('SIGSTOP')
      try {
        await storm(scene)
        await harmBy(scene, choose(random, HARM))
        yield 'broken'
      } finally {
        site.flanneld.process.signal('SIGCONT')
      }
      yield 'over'
    },
  },
]
