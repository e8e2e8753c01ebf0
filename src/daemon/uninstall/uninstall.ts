// `flanneld --cleanup` and `heddle uninstall`: removes all that is flannel's on this host, by proof, and its lease.
// Needs neither a running daemon nor a store. What it can't call its own it names, and leaves.
import { existsSync } from 'node:fs'
import { parseIp, type Ip } from '../../model/ip.ts'
import { formatSubnetKey, parseSubnetKey } from '../../model/lease.ts'
import { isV4Prefix, type Prefix } from '../../model/prefix.ts'
import { listAddresses, parseAddress } from '../../netlink/address.ts'
import { removeLink } from '../../netlink/link.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { SettingsRecord } from '../host/settings-record.ts'
import { claimInstance, HeldByAnother, lockPath } from '../instance-lock.ts'
import { LeaseRecords, readRecord, recordFiles, type LeaseRecord } from '../lease-record.ts'
import { requireNetAdmin } from '../net-admin.ts'
import type { Options } from '../options.ts'
import { readSubnetFile } from '../subnet-file.ts'
import { cniPart } from './cni.ts'
import { filesPart, removeFile } from './files.ts'
import { firewalldPart } from './firewalld.ts'
import { chainsWithoutTool } from './foreign-rules.ts'
import type { Part } from './item.ts'
import { ignoreMissing, kernelPart, readLinks } from './kernel.ts'
import { leasePart } from './lease.ts'
import { ourDevices, upstreamDevices } from './proof.ts'
import { runningDaemons } from './running.ts'
import { settingsPart } from './settings.ts'

/** Thousands of objects take their time; where a flanneld puts them back there is none to wait for. */
const KERNEL_MS = { alone: 60_000, contested: 2_000 } as const

export interface UninstallOptions {
  readonly isDryRun: boolean
  /** Though a flanneld runs, which puts back what it can. */
  readonly isForced: boolean
  readonly print: (line: string) => void
}

/** The exit code: 0 if nothing of ours is left on this host; 1 if something is, or a running flanneld forbids it. Throws what keeps it from looking. */
export async function uninstall(
  options: Options,
  { isDryRun, isForced, print }: UninstallOptions,
): Promise<number> {
  requireNetAdmin()
  await using parts = new AsyncDisposableStack()
  const busy = busyText(options['subnet-file'])
  if (busy !== undefined && !isForced) {
    const what = isDryRun ? 'note: without --dry-run it is refused' : 'refused'
    print(`${what}: ${busy}: stop it first, or give --force`)
    if (!isDryRun) return 1
  }
  const withinMs = busy === undefined ? KERNEL_MS.alone : KERNEL_MS.contested
  const { items, left } = await look(options, withinMs, parts)
  if (!isDryRun && busy === undefined && items.length > 0) claim(options['subnet-file'], parts)
  let failed = 0
  for (const each of items) {
    const { what } = each
    const why = isDryRun ? undefined : await each.remove()
    if (why !== undefined) failed++
    print(why !== undefined ? `failed: ${what}: ${why}` : `${isDryRun ? 'would remove' : 'removed'} ${what}`)
  }
  for (const line of left) print(`left: ${line}`)
  if (items.length === 0) print(`nothing ${left.length === 0 ? '' : 'else '}of flannel's is on this host`)
  return failed === 0 ? 0 : 1
}

/** Nobody starts meanwhile. */
function claim(subnetFile: string, parts: AsyncDisposableStack): void {
  const path = lockPath(subnetFile)
  const isNew = !existsSync(path)
  parts.use(claimInstance(subnetFile))
  if (isNew) parts.defer(() => removeFile(path))
}

/** Which flanneld is at work here. */
function busyText(subnetFile: string): string | undefined {
  const pids = runningDaemons()
  if (pids.length > 0) return `flanneld runs here (process ${pids.join(', ')})`
  // One in another network namespace, with the same files.
  if (!existsSync(lockPath(subnetFile))) return undefined
  try {
    claimInstance(subnetFile)[Symbol.dispose]()
    return undefined
  } catch (error) {
    if (error instanceof HeldByAnother) return error.holder
    throw error
  }
}

async function look(options: Options, withinMs: number, parts: AsyncDisposableStack): Promise<Part> {
  const { 'state-dir': stateDir, 'etcd-prefix': prefix, 'subnet-file': subnetFile } = options
  const netlink = parts.use(NetlinkSocket.open('route'))
  const seen = readLinks(netlink)
  const addresses = netlink.dump(listAddresses(), (reply) => parseAddress(reply.body))
  const told = readSubnetFile(subnetFile)
  const formerSettings = new SettingsRecord(stateDir)
  const records = recordsOf(stateDir, subnetFile)
  const subnets = [...told.subnets, ...records.flatMap(subnetsIn)]
  const devices = ourDevices(seen.links, seen.nexthops)
  const published = [options['public-ip'], options['public-ipv6']].flatMap((text) => parseIp(text) ?? [])
  const proof = {
    macs: devices.flatMap(({ mac }) => mac ?? []),
    addresses: new Set<Ip>([...addresses.map(({ ip }) => ip), ...published]),
    subnets,
    names: namesOf(records, prefix, told.subnets),
  }
  // Where nothing shows that this host ever had a lease, the store isn't asked.
  const hadLease = devices.length + subnets.length > 0
  const all = [
    await kernelPart(netlink, seen, told.networks, formerSettings, withinMs, parts),
    cniPart({ links: seen.links, addresses, subnets }, (name) =>
      ignoreMissing(() => void netlink.request(removeLink(name))),
    ),
    ...(hadLease
      ? [await leasePart(options, new LeaseRecords({ stateDir, prefix, subnetFile }), proof, parts)]
      : []),
    settingsPart(formerSettings, stateDir),
    await firewalldPart(stateDir),
    filesPart(options),
    {
      items: [],
      left: [
        ...upstreamDevices(seen.links).map(({ name }) => `device ${name}, upstream's (ip link del ${name})`),
        ...(await chainsWithoutTool(AbortSignal.timeout(withinMs))),
      ],
    },
  ]
  return { items: all.flatMap(({ items }) => items), left: all.flatMap(({ left }) => left) }
}

/** Leases that this flanneld has recorded, whatever its prefix was. */
const recordsOf = (stateDir: string, subnetFile: string): LeaseRecord[] =>
  recordFiles(stateDir).flatMap((path) => {
    const record = readRecord(path)
    return typeof record === 'object' && record.subnetFile === subnetFile ? [record] : []
  })

function subnetsIn({ key }: LeaseRecord): Prefix[] {
  const subnets = parseSubnetKey(key)
  return [subnets?.ipv4, subnets?.ipv6].filter((subnet) => subnet !== undefined)
}

/** What the store may call this host's lease, by its files: it can't always be asked. */
function namesOf(records: readonly LeaseRecord[], prefix: string, told: readonly Prefix[]): Set<string> {
  const names = new Set(records.flatMap((record) => (record.prefix === prefix ? [record.key] : [])))
  const [ipv4, ipv6] = [told.find(isV4Prefix), told.find((subnet) => !isV4Prefix(subnet))]
  if (ipv4 !== undefined || ipv6 !== undefined) names.add(formatSubnetKey(ipv4, ipv6))
  return names
}
