// A lab's facts as text for people.
import { existsSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import type { HostFact, LabFacts, LabReport, ProcessFact } from '../../lab/facts.ts'
import type { KernelFacts } from '../../lab/kernel.ts'
import { labDirectory } from '../../lab/directory.ts'
import { count } from '../../lab/words.ts'
import { columns, styleFor } from '../style.ts'
import { matrix, problems } from './matrix.ts'

const style = styleFor(process.stdout)
const KINDS = [
  'links',
  'addresses',
  'routes',
  'neighbours',
  'fdb',
  'nexthops',
  'tables',
] as const satisfies readonly (keyof KernelFacts)[]

/** After `up` and `check`: the proof, the leases, and how much each kernel holds. */
export function showReport(report: LabReport, after: 'up' | 'check'): string {
  const parts = [describe(report)]
  if (report.proof !== undefined) {
    parts.push(matrix(report.proof, style))
    if (!report.proof.ok) parts.push(problems(report.proof, style))
  }
  parts.push(...broken(report), leases(report), kernels(report))
  if (after === 'up') parts.push(next(report))
  return parts.join('\n')
}

/** All there is to see, the kernel's objects one by one. */
export function showStatus(facts: LabFacts): string {
  return [
    describe(facts),
    processes(facts),
    pods(facts),
    ...broken(facts),
    leases(facts),
    ...facts.hosts.map(kernelOf),
  ].join('\n')
}

function describe({ parameters, directory, complete }: LabFacts): string {
  const { hosts, pods, backend, network, store } = parameters
  const words = `${count(hosts, 'host')} with ${count(pods, 'pod')} each, ${backend}, ${spaced(network.split(','))}, store ${store}, in ${directory}`
  return `${style.bold('Lab')}  ${words}${complete ? '' : style.bad('  (its `up` did not come to its end)')}\n`
}

function processes({ hosts, store }: LabFacts): string {
  const state = (running: boolean, ready: boolean, lacking?: string): string => {
    if (!running) return style.bad('not running: `heddle lab up` starts it again')
    if (ready) return style.good('ready')
    return style.bad(lacking === undefined ? 'not ready' : `not ready: ${lacking}`)
  }
  const pid = (process: ProcessFact): string => `${(process.running ? process.pid : undefined) ?? '-'}`
  return (
    `${style.bold('Processes')}\n` +
    columns([
      ['', 'address', 'program', 'process', 'state'].map(style.dim),
      ['store', store.endpoint, store.kind, pid(store), state(store.running, true)],
      ...hosts.map((host) => [
        host.name,
        spaced(host.addresses),
        host.daemon.program,
        pid(host.daemon),
        state(host.daemon.running, host.daemon.ready, host.daemon.lacking),
      ]),
    ])
  )
}

const pods = ({ hosts }: LabFacts): string =>
  `${style.bold('Pods')}\n` +
  columns(
    hosts.flatMap((host) =>
      host.pods.map((pod) => [pod.name, spaced(pod.ips.length > 0 ? pod.ips : [style.bad('no address')])]),
    ),
  )

/** What of the pods' links is not as it was made; no part if all is. */
function broken({ hosts }: LabFacts): string[] {
  const found = hosts.flatMap((host) => host.problems)
  if (found.length === 0) return []
  const lines = found.map((problem) => `  ${problem}\n`).join('')
  return [`${style.bad('Broken')}  \`heddle lab up\` makes these pods anew\n${lines}`]
}

function leases(facts: LabFacts): string {
  const title = `${style.bold('Leases')}${facts.leases === undefined ? `  ${style.bad('the store does not answer')}` : ''}\n`
  const host = (publicIp: string | undefined): string =>
    facts.hosts.find((one) => one.addresses.some((ip) => ip === publicIp))?.name ?? '?'
  return (
    title +
    columns([
      ['subnet', 'host', 'reached at', 'backend', 'data'].map(style.dim),
      ...(facts.leases ?? []).map((lease) => [
        lease.subnet,
        host(lease.publicIp),
        lease.publicIp ?? '-',
        lease.backendType,
        lease.backendData === undefined ? '' : JSON.stringify(lease.backendData),
      ]),
    ])
  )
}

const spaced = (words: readonly string[]): string => words.join(' ')
const subnetsOf = ({ subnets }: HostFact): string =>
  subnets.length > 0 ? spaced(subnets) : style.bad('none')

function kernels({ hosts }: LabFacts): string {
  return (
    `${style.bold('Kernels')}  objects each host was given (\`status\` lists them)\n` +
    columns([
      ['host', 'flanneld', ...KINDS].map(style.dim),
      ...hosts.map((host) => [
        host.name,
        host.daemon.program === 'heddle' ? 'heddle' : basename(host.daemon.program),
        ...KINDS.map((kind) => `${host.kernel?.[kind].length ?? '-'}`),
      ]),
    ])
  )
}

/** Repairs, memory, and whatever the daemon can't do. */
function wordsOf({ daemon }: HostFact): string {
  const { status } = daemon
  if (status === undefined) return ''
  const repairs = status.objects?.repairs ?? 0
  const words = [
    ...(repairs > 0 ? [`${count(repairs, 'object')} repaired`] : []),
    ...(status.rssBytes === undefined ? [] : [`${(status.rssBytes / 1e6).toFixed(0)} MB`]),
  ]
  const troubles = [
    ...Object.entries(status.refused ?? {}).map(([key, reason]) => `${key} is not served: ${reason}`),
    ...Object.entries(status.failures ?? {}).map(([key, failure]) => `${key}: ${failure.reason ?? 'failed'}`),
  ]
  return `${words.map((word) => `, ${word}`).join('')}\n${troubles.map((trouble) => `  ${style.bad(trouble)}\n`).join('')}`
}

function kernelOf(host: HostFact): string {
  const title = `${style.bold(host.name)}  ${spaced(host.addresses)}, subnet ${subnetsOf(host)}${wordsOf(host) || '\n'}`
  if (host.kernel === undefined) return `${title}  ${style.bad('its network namespace is gone')}\n`
  const { kernel } = host
  return (
    title +
    columns(
      KINDS.flatMap((kind) => kernel[kind].map((object, i) => [style.dim(i === 0 ? kind : ''), object])),
    )
  )
}

function next(report: LabReport): string {
  const dir = report.directory === labDirectory().path ? '' : ` --dir ${report.directory}`
  const lab = (verb: string, rest = '') => `${program()} lab ${verb}${dir}${rest}`
  const [first, last] = [report.hosts[0], report.hosts.at(-1)]
  const pod = first?.pods[0]
  const other = [last?.pods.at(-1)].find((one) => one !== pod)
  const target = other?.ips.at(-1)
  const tunnel = first?.kernel?.links[0]?.split(' ')[0]
  const tries: string[][] = [[lab('status'), 'all that each host and its kernel have']]
  if (onPath('ping') && target !== undefined)
    tries.push([
      lab('exec', ` ${pod?.name} -- ping -c 3 ${target}`),
      first === last ? 'from a pod to another' : `from a pod on ${first?.name} to one on ${last?.name}`,
    ])
  if (onPath('ip') && tunnel !== undefined)
    tries.push([
      lab('exec', ` h1 -- sh -c 'ip link del ${tunnel}; sleep .2; ip -br link show ${tunnel}'`),
      'break a host: it heals at once',
    ])
  tries.push(
    [lab('exec', ' h1 -- heddle drift'), "compare a host's kernel with what should be there"],
    ...(other === undefined
      ? []
      : [[lab('exec', ` h1 -- heddle explain ${other.ips[0]}`), `the way to ${other.name}, hop by hop`]]),
    [lab('check'), 'prove it again'],
    [lab('logs', ' h1'), 'what a flanneld has to say'],
    [lab('down'), 'remove all of it'],
  )
  const verdict =
    report.proof?.ok === true
      ? style.good(`The lab is up and proven, after ${report.seconds.toFixed(1)} s.`)
      : style.bad('The lab is up, but not all of it works.')
  return `${verdict} Try next:\n${columns(tries.map(([command = '', what = '']) => [command, style.dim(what)]))}`
}

/** As a person would type it from here. */
export function program(): string {
  if (!process.argv0.includes('/')) return basename(process.argv0) === 'heddle' ? 'heddle' : 'dist/heddle'
  const path = relative(process.cwd(), process.execPath)
  return path.startsWith('..') ? process.execPath : path.includes('/') ? path : `./${path}`
}

const onPath = (tool: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, tool)))
