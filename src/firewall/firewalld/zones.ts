// firewalld's zones, as `firewall-cmd --list-all-zones` prints them (firewalld 0.4 to 2.x). Pure.

export interface Zone {
  /** `default`, `ACCEPT`, `DROP` or `%%REJECT%%`. */
  readonly target: string
  readonly interfaces: readonly string[]
  readonly sources: readonly string[]
  /** `8472/udp`, or a range: `8000-9000/udp`. */
  readonly ports: readonly string[]
}

/** By name. Lines that aren't known are passed over. */
export function parseZones(text: string): ReadonlyMap<string, Zone> {
  const zones = new Map<string, Zone>()
  let name: string | undefined
  let fields = new Map<string, string>()
  const close = () => {
    if (name === undefined) return
    const list = (key: string) => (fields.get(key) ?? '').split(/\s+/).filter((word) => word !== '')
    zones.set(name, {
      target: fields.get('target') ?? 'default',
      interfaces: list('interfaces'),
      sources: list('sources'),
      ports: list('ports'),
    })
    name = undefined
  }
  for (const line of text.split('\n')) {
    const field = /^\s+([a-z-]+(?: [a-z]+)?):(.*)$/.exec(line)
    if (field !== null) fields.set(field[1] ?? '', (field[2] ?? '').trim())
    else if (/^\S/.test(line)) {
      close()
      // Behind it `(default, active)` may be.
      name = line.split(' ')[0]
      fields = new Map()
    }
  }
  close()
  return zones
}

/** Whether a port of UDP is open by one of a zone's. */
export const opens = (zone: Zone, port: number): boolean =>
  zone.ports.some((entry) => {
    const [, low, high = low] = /^(\d+)(?:-(\d+))?\/udp$/.exec(entry) ?? []
    return low !== undefined && Number(low) <= port && port <= Number(high)
  })
