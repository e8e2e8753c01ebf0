// Takes a lab away whole, whatever state an `up` left it in: processes, namespaces with all that is in them, files.
import { existsSync, realpathSync } from 'node:fs'
import { EtcdError } from '../store/etcd/error.ts'
import { Namespace } from '../sys/namespace.ts'
import type { LabDirectory } from './directory.ts'
import { reasonOf } from './error.ts'
import { wayInside } from './inside.ts'
import { boundNamespaces } from './mounts.ts'
import { planOf } from './plan.ts'
import { endProcesses } from './process.ts'
import { forgetLab } from './store.ts'

export interface DownFacts {
  readonly directory: string
  readonly wasUp: boolean
  /** How many were ended and taken away. */
  readonly processes: number
  readonly namespaces: number
  /** What could not be cleaned up elsewhere; the lab itself is gone. */
  readonly warnings: readonly string[]
}

export async function takeDown(directory: LabDirectory): Promise<DownFacts> {
  const nothing: DownFacts = {
    directory: directory.path,
    wasUp: false,
    processes: 0,
    namespaces: 0,
    warnings: [],
  }
  if (!existsSync(directory.path)) return nothing
  const record = directory.record()
  if (record === undefined) return { ...nothing, wasUp: directory.remove() }
  const real = realpathSync(directory.path)
  const way = wayInside(directory, record)
  // Bindings in another mount namespace are seen, and go, with the processes that are in it.
  const bound = boundNamespaces(real, way?.pid)
  const processes = await endProcesses({
    id: record.id,
    namespaces: new Set([...bound.map((one) => one.namespace), ...(way?.namespaces ?? [])]),
  })
  const warnings: string[] = []
  try {
    await forgetLab(planOf(record.parameters), record.id)
  } catch (error) {
    warnings.push(
      `keys below /heddle-lab/${record.id} are left in ${record.parameters.store}: ${error instanceof EtcdError ? error.detail : reasonOf(error)}`,
    )
  }
  for (const { path } of boundNamespaces(real)) Namespace.remove(path)
  directory.remove()
  return { directory: directory.path, wasUp: true, processes, namespaces: bound.length, warnings }
}
