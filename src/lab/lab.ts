// What one can do with a lab, each call whole: the right to do it, the lock, the way inside for ordinary users, and
// taking back what an interrupted `up` began.
import { randomBytes } from 'node:crypto'
import type { LabDirectory, LabRecord } from './directory.ts'
import { takeDown, type DownFacts } from './down.ts'
import { LabError } from './error.ts'
import { execIn } from './exec.ts'
import type { LabFacts, LabReport } from './facts.ts'
import { ensureHolder, mayDirectly } from './held.ts'
import { isBroughtInside, ownMountNamespace, runInside, wayInside } from './inside.ts'
import { inspect } from './inspect.ts'
import { checkFamilies, checkLimits, checkPeers, networkHere } from './limits.ts'
import { LabNamespaces } from './namespaces.ts'
import { DEFAULTS, differences, planOf, type LabParameters, type LabPlan } from './plan.ts'
import type { Progress } from './progress.ts'
import { HOLDER } from './process.ts'
import { checkEtcd, ensureOuterRelay, enterForGood } from './store.ts'
import { bringUp, proveLab } from './up.ts'
import { ifInterrupted } from './wait.ts'
import { count } from './words.ts'

export interface LabCall {
  readonly directory: LabDirectory
  readonly progress: Progress
  readonly signal: AbortSignal
  /** The words of this command, for the heddle that does it inside. */
  readonly words: readonly string[]
}

/** Facts; or the exit code of a heddle that ran inside and has told them already. */
export type Told<T> =
  | { readonly kind: 'facts'; readonly facts: T }
  | { readonly kind: 'told'; readonly code: number }

/** Patience of `check`: what fails now is tried again for so long. */
const CHECK_PATIENCE_MS = 2_000

export async function labUp(call: LabCall, asked: Partial<LabParameters>): Promise<Told<LabReport>> {
  const { directory, signal } = call
  if (isBroughtInside()) {
    const record = recordOf(directory)
    return told(await bringUp({ ...call, record, plan: planOf(record.parameters) }))
  }
  const record = directory.record() ?? (await create(call, asked))
  const different = differences(asked, record.parameters)
  if (different.length > 0) {
    // What can't be is told before what would have to go for it.
    plannedFrom(asked)
    throw new LabError(
      'differs',
      `a lab with other parameters is up: ${different.join(', ')}; \`heddle lab down\` first`,
    )
  }
  using _ = directory.lock('up')
  try {
    const done = await upHereOrInside(call, record)
    ifInterrupted(signal)
    if (done.kind === 'told' && done.code !== 0 && isToBeUndone(directory, record, signal)) await undo(call)
    return done
  } catch (error) {
    if (isToBeUndone(directory, record, signal)) await undo(call)
    // Whatever was waited for has its own way to say that it was interrupted.
    ifInterrupted(signal)
    throw error
  }
}

/** What was interrupted, and what failed before its store was begun: there is nothing to look at. */
const isToBeUndone = (directory: LabDirectory, record: LabRecord, signal: AbortSignal): boolean =>
  !record.complete && (signal.aborted || directory.process('store') === undefined)

async function undo({ directory, progress }: LabCall): Promise<void> {
  progress.working('down', 'removing what was begun')
  const { processes, namespaces } = await takeDown(directory)
  if (processes + namespaces > 0)
    progress.done('down', `${count(processes, 'process')} and ${count(namespaces, 'namespace')} removed`)
}

async function upHereOrInside(call: LabCall, record: LabRecord): Promise<Told<LabReport>> {
  const { directory, signal } = call
  const plan = planOf(record.parameters)
  if (!mayDirectly()) await ensureHolder(directory, record.id, signal)
  await ensureOuterRelay(directory, record.id, plan, signal)
  const way = wayInside(directory, record)
  if (way !== undefined) return { kind: 'told', code: await runInside(directory, record.id, way, call.words) }
  if (!mayDirectly()) throw holderGone()
  // Nobody is left where the names were bound before.
  const here = { ...record, mountNamespace: ownMountNamespace() }
  if (here.mountNamespace !== record.mountNamespace) directory.writeRecord(here)
  return told(await bringUp({ ...call, record: here, plan }))
}

function plannedFrom(asked: Partial<LabParameters>) {
  const here = networkHere()
  const plan = planOf({ ...DEFAULTS, network: here.network, ...asked })
  checkPeers(plan)
  return { plan, here }
}

async function create(
  { directory, progress, signal }: LabCall,
  asked: Partial<LabParameters>,
): Promise<LabRecord> {
  const { plan, here } = plannedFrom(asked)
  if (asked.network === undefined && here.lacking !== undefined) progress.done('IPv6', here.lacking)
  checkFamilies(plan)
  checkLimits(plan)
  await checkEtcd(plan, signal)
  return directory.create(randomBytes(8).toString('hex'), plan.parameters, ownMountNamespace())
}

export const labCheck = (call: LabCall): Promise<Told<LabReport>> =>
  inside(call, async (record, plan) => {
    const started = performance.now()
    using namespaces = new LabNamespaces(call.directory)
    enterForGood(namespaces)
    const proof = await proveLab({ ...call, plan }, namespaces, CHECK_PATIENCE_MS)
    const facts = await inspect(call.directory, namespaces, record, plan)
    return { ...facts, proof, seconds: (performance.now() - started) / 1000 }
  })

export const labStatus = (call: LabCall): Promise<Told<LabFacts>> =>
  inside(call, async (record, plan) => {
    using namespaces = new LabNamespaces(call.directory)
    enterForGood(namespaces)
    return inspect(call.directory, namespaces, record, plan)
  })

/** The command's own exit code. */
export async function labExec(
  call: Omit<LabCall, 'progress' | 'signal'>,
  name: string,
  command: readonly string[],
): Promise<number> {
  const done = await inside(call, (record, plan) => execIn(call.directory, record, plan, name, command))
  return done.kind === 'told' ? done.code : done.facts
}

export async function labDown(call: Pick<LabCall, 'directory'>): Promise<DownFacts> {
  const { directory } = call
  using _ = directory.record() === undefined ? undefined : directory.lock('down')
  return takeDown(directory)
}

/** Does it here, or in the lab's own namespaces where a holder keeps them. */
async function inside<T>(
  call: Pick<LabCall, 'directory' | 'words'>,
  work: (record: LabRecord, plan: LabPlan) => Promise<T>,
): Promise<Told<T>> {
  const record = recordOf(call.directory)
  if (!isBroughtInside()) {
    const way = wayInside(call.directory, record)
    if (way !== undefined)
      return { kind: 'told', code: await runInside(call.directory, record.id, way, call.words) }
    if (!mayDirectly())
      throw call.directory.process(HOLDER) === undefined
        ? new LabError('refused', `the lab in ${call.directory.path} is root's; only root can look into it`)
        : holderGone()
  }
  try {
    return told(await work(record, planOf(record.parameters)))
  } catch (error) {
    if (!(error instanceof LabError) && call.directory.record() === undefined)
      throw new LabError('not-up', 'the lab was taken down meanwhile', { cause: error })
    throw error
  }
}

const holderGone = (): LabError =>
  new LabError(
    'not-up',
    'the process that held this lab is gone, and the lab with it; `heddle lab up` makes it anew, `heddle lab down` removes what is left',
  )

const told = <T>(facts: T): Told<T> => ({ kind: 'facts', facts })

export function recordOf(directory: LabDirectory): LabRecord {
  const record = directory.record()
  if (record === undefined)
    throw new LabError('not-up', `no lab is up in ${directory.path}; \`heddle lab up\` makes one`)
  return record
}
