// The pods of a lab: each a network namespace that the CNI plugin was called for, as a container runtime calls it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { changeLink } from '../netlink/link.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'
import type { LabDirectory } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import type { LabNamespaces } from './namespaces.ts'
import type { PodPlan } from './plan.ts'
import { podProblem, strayAddress } from './pod-link.ts'
import { IFNAME, parseResult, podAddresses, resultFile } from './pod-result.ts'
import { MARKER } from './process.ts'

const DEADLINE_MS = 30_000

/** Makes the pod unless it is there whole; returns whether it had to. What is left of it is deleted first. */
export async function ensurePod(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  id: string,
  pod: PodPlan,
  signal: AbortSignal,
): Promise<boolean> {
  if (podProblem(directory, namespaces, pod) === undefined) return false
  const call = { directory, namespaces, id, pod, signal }
  if (namespaces.make([pod.name]).size === 0 || podAddresses(directory, pod).length > 0)
    await callPlugin('DEL', call)
  rmSync(resultFile(directory, pod), { force: true })
  loopbackUp(namespaces.get(pod.name))
  const answer = await callPlugin('ADD', call)
  if (parseResult(answer) === undefined)
    throw new LabError('failed', `the CNI plugin gave ${pod.name} no address; it answered ${answer.trim()}`)
  mkdirSync(dirname(resultFile(directory, pod)), { recursive: true })
  writeFileSync(resultFile(directory, pod), answer)
  return true
}

/** Takes the addresses of a subnet that the host has no more from all its pods: the bridge keeps its own as long as one has. */
export async function dropStrays(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  id: string,
  pods: readonly PodPlan[],
  signal: AbortSignal,
): Promise<void> {
  for (const pod of pods) {
    if (strayAddress(directory, pod) === undefined) continue
    namespaces.make([pod.name])
    await callPlugin('DEL', { directory, namespaces, id, pod, signal })
    rmSync(resultFile(directory, pod), { force: true })
  }
}

/** A runtime's own first step. */
function loopbackUp(pod: Namespace): void {
  using socket = NetlinkSocket.open('route', pod)
  socket.request(changeLink('lo', { up: true }))
}

interface PluginCall {
  readonly directory: LabDirectory
  readonly namespaces: LabNamespaces
  readonly id: string
  readonly pod: PodPlan
  readonly signal: AbortSignal
}

/** Upstream's conflist without portmap, each host's state in a place of its own: the hosts share one file system. */
export function conflist(directory: LabDirectory, host: string): object {
  return {
    name: 'cbr0',
    cniVersion: '1.0.0',
    plugins: [
      {
        type: 'flannel',
        subnetFile: directory.host(host, 'subnet.env'),
        dataDir: directory.host(host, 'cni', 'flannel'),
        ipam: { dataDir: directory.host(host, 'cni', 'networks') },
        delegate: { hairpinMode: true, isDefaultGateway: true },
      },
    ],
  }
}

/** A runtime hands each plugin its own object with the list's name and version put in. */
function pluginConfig(directory: LabDirectory, host: string): string {
  const { name, cniVersion, plugins } = conflist(directory, host) as {
    name: string
    cniVersion: string
    plugins: readonly object[]
  }
  return JSON.stringify({ name, cniVersion, ...plugins[0] })
}

async function callPlugin(command: 'ADD' | 'DEL', call: PluginCall): Promise<string> {
  const { directory, namespaces, pod } = call
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const child = namespaces.get(pod.host).run(() =>
    spawn(executable.file, executable.prefix, {
      argv0: 'flannel',
      cwd: '/',
      signal: AbortSignal.any([call.signal, deadline]),
      env: {
        PATH: process.env['PATH'] ?? '',
        CNI_COMMAND: command,
        CNI_CONTAINERID: pod.name,
        CNI_NETNS: directory.namespace(pod.name),
        CNI_IFNAME: IFNAME,
        CNI_PATH: executable.directory,
        [MARKER]: call.id,
      },
    }),
  )
  const failed = once(child, 'error').then(([error]: unknown[]) => {
    throw error
  })
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.end(pluginConfig(directory, pod.host))
  const done = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  try {
    const [stdout, stderr, [code]] = await Promise.race([done, failed])
    if (code === 0) return stdout
    throw new LabError('failed', `CNI ${command} of ${pod.name} failed: ${sentence(stdout, stderr)}`)
  } catch (error) {
    if (call.signal.aborted) throw new LabError('interrupted', 'interrupted', { cause: error })
    if (deadline.aborted)
      throw new LabError('timeout', `CNI ${command} of ${pod.name} took more than ${DEADLINE_MS / 1000} s`)
    throw error
  }
}

/** A plugin tells its error as JSON on stdout. */
function sentence(stdout: string, stderr: string): string {
  try {
    const { msg, details } = JSON.parse(stdout) as { msg?: string; details?: string }
    if (msg !== undefined) return details ? `${msg} (${details})` : msg
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return `${stdout}${stderr}`.trim() || 'it said nothing'
}

export const writeConflist = (directory: LabDirectory, host: string): void => {
  const path = directory.host(host, 'cni', '10-flannel.conflist')
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(conflist(directory, host), undefined, 2)}\n`)
}
