// What a ledger makes of hints, dumps and answers that cross each other. The kernel can't be made to cross them at will,
// so the carrier here is a shelf of our own: a further implementation of the interface.
import { describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { peer, SCOPE, soon } from '../../test/support/dataplane.ts'
import type { Neighbour, Nexthop, KernelObject } from '../model/kernel.ts'
import { blocked, type Carrier, type Change, done, failed, type Hint, type Result } from './carrier.ts'
import { Ledger } from './ledger.ts'
import { neighbourKind } from './kinds/neighbour.ts'
import { nexthopKind } from './kinds/nexthop.ts'
import { Reconciler } from './reconciler.ts'
import type { Kind } from './kind.ts'

class Shelf<T extends KernelObject> implements Carrier<T> {
  readonly #kind: Kind<T>
  readonly objects = new Map<string, T>()
  readonly told: Hint<T>[] = []
  readonly applied: Change<T>[] = []
  answer: (change: Change<T>) => Result = () => done
  dumpFails: string | undefined
  hearingFails: string | undefined
  wake: () => void = () => undefined

  constructor(kind: Kind<T>) {
    this.#kind = kind
  }
  async dump(): Promise<readonly T[]> {
    if (this.dumpFails !== undefined) throw new Error(this.dumpFails)
    return [...this.objects.values()]
  }
  async apply(changes: readonly Change<T>[]): Promise<readonly Result[]> {
    return changes.map((change) => {
      const result = this.answer(change)
      this.applied.push(change)
      if (result.kind !== 'done') return result
      if (change.op === 'put') this.objects.set(this.#kind.key(change.want), change.want)
      else this.objects.delete(this.#kind.key(change.have))
      return result
    })
  }
  attend(): void {}
  async ready(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    signal.addEventListener('abort', () => resolve(false))
    this.wake = () => resolve(true)
    return promise
  }
  heard(): readonly Hint<T>[] {
    if (this.hearingFails !== undefined) throw new Error(this.hearingFails)
    return this.told.splice(0)
  }
}

const find = <K extends KernelObject['kind']>(n: number, kind: K, vtep?: string) =>
  peer(n, vtep === undefined ? {} : { mac: vtep }).find((o) => o.kind === kind) as Extract<
    KernelObject,
    { kind: K }
  >
const source = { name: 'lease', since: 1n }

/** A ledger that has put one nexthop and knows it. */
async function withNexthop() {
  const shelf = new Shelf<Nexthop>(nexthopKind)
  const ledger = new Ledger(nexthopKind, shelf, SCOPE)
  const object = find(1, 'nexthop')
  const key = ledger.claim(source, object)
  await ledger.look(soon())
  await ledger.put(soon())
  return { shelf, ledger, object, key }
}

describe('a cascade follows', () => {
  test('from a dump that shows a loss before its notification is heard, which then is no news', async () => {
    const { shelf, ledger, object, key } = await withNexthop()
    shelf.objects.clear()
    ledger.mark('theirs')
    const { out } = await ledger.look(soon())
    expect([...out.kinds]).toEqual(['route'])
    const late = ledger.heed({ kind: 'seen', key, have: undefined, was: object })
    expect(late.kinds.size).toBe(0)
    expect(ledger.isDirty).toBe(false)
  })

  test('from a notification of a loss that the dump can’t show, because somebody made it good', async () => {
    const { ledger, object, key } = await withNexthop()
    expect([...ledger.heed({ kind: 'seen', key, have: undefined, was: object }).kinds]).toEqual(['route'])
    ledger.heed({ kind: 'seen', key, have: object })
    const { out, cause } = await ledger.look(soon())
    expect([cause, out.kinds.size]).toEqual(['theirs', 0])
  })
})

describe('what was refused is tried again at once when', () => {
  async function refused() {
    const { shelf, ledger, key } = await withNexthop()
    shelf.objects.clear()
    ledger.mark('theirs')
    shelf.answer = () => failed('somebody is in the way')
    await ledger.look(soon())
    await ledger.put(soon())
    expect(ledger.outcomes.trouble.has(key)).toBe(true)
    expect(ledger.isBusy).toBe(false)
    shelf.answer = () => done
    return { shelf, ledger, key }
  }
  test('something has gone from its place', async () => {
    const { ledger, key } = await refused()
    ledger.heed({ kind: 'seen', key: 'ipv4|10.9.9.9|flannel.1', have: undefined })
    expect(ledger.isBusy).toBe(false)
    ledger.heed({ kind: 'seen', key, have: undefined })
    expect(ledger.isBusy).toBe(true)
    await ledger.put(soon())
    expect(ledger.outcomes.trouble.has(key)).toBe(false)
  })
  test('it has gone itself, altered as it was: what hung on it went along', async () => {
    const { shelf, ledger, object, key } = await withNexthop()
    const altered = { ...object, onLink: false }
    shelf.objects.set(key, altered)
    ledger.mark('theirs')
    shelf.answer = () => failed('it is in use')
    await ledger.look(soon())
    await ledger.put(soon())
    expect(ledger.outcomes.trouble.has(key)).toBe(true)
    shelf.objects.clear()
    expect([...ledger.heed({ kind: 'seen', key, have: undefined, was: altered }).kinds]).toEqual(['route'])
    expect([ledger.isBusy, ledger.isDirty]).toEqual([true, true])
  })
  test('its link has changed', async () => {
    const { shelf, ledger } = await refused()
    ledger.retryOn('eth0')
    expect(ledger.isBusy).toBe(false)
    ledger.retryOn('flannel.1')
    await ledger.put(soon())
    expect(shelf.objects.size).toBe(1)
  })
})

describe('no news is', () => {
  test('that something else went from under the key', async () => {
    const { ledger, object, key } = await withNexthop()
    ledger.heed({ kind: 'seen', key, have: undefined, was: { ...object, onLink: false } })
    expect(ledger.isDirty).toBe(false)
  })
  test('what we believe already, and what is foreign', async () => {
    const shelf = new Shelf<Neighbour>(neighbourKind)
    const ledger = new Ledger(neighbourKind, shelf, SCOPE)
    const object = find(1, 'neighbour')
    const key = ledger.claim(source, object)
    await ledger.look(soon())
    await ledger.put(soon())
    ledger.heed({ kind: 'seen', key, have: object })
    const foreign = { ...object, link: 'eth0' }
    ledger.heed({ kind: 'seen', key: neighbourKind.key(foreign), have: foreign })
    ledger.heed({ kind: 'seen', key: 'flannel.1|10.9.9.9', have: undefined })
    expect(ledger.isDirty).toBe(false)
    const stranger = find(9, 'neighbour')
    ledger.heed({ kind: 'seen', key: neighbourKind.key(stranger), have: stranger })
    expect(ledger.isDirty).toBe(true)
  })
})

test('what is wanted again while a round is under way is not removed at its end', async () => {
  const { shelf, ledger, object } = await withNexthop()
  ledger.release('lease', object)
  await ledger.put(soon())
  ledger.claim(source, object)
  await ledger.remove(soon())
  expect(shelf.objects.size).toBe(1)
  expect(ledger.isBusy).toBe(true)
  await ledger.put(soon())
  expect(shelf.applied).toHaveLength(1)
})

test('an outcome that is unknown is looked at before anything is tried again', async () => {
  const { shelf, ledger } = await withNexthop()
  const [other, third] = [find(2, 'nexthop'), find(3, 'nexthop')]
  ledger.claim(source, other)
  ledger.claim(source, third)
  shelf.answer = () => {
    throw new Error('replies were lost')
  }
  const outcome = await ledger.put(soon()).then(
    () => 'done',
    (error: unknown) => String(error),
  )
  expect(outcome).toBe('Error: replies were lost')
  expect(ledger.isDirty).toBe(true)
  // One of them had been carried out after all.
  shelf.objects.set(nexthopKind.key(other), other)
  shelf.answer = () => done
  shelf.applied.length = 0
  await ledger.look(soon())
  await ledger.put(soon())
  expect(shelf.applied).toEqual([{ op: 'put', want: third, have: undefined }])
})

test('what was to be removed is not forgotten when the round breaks off before', async () => {
  const { shelf, ledger, object } = await withNexthop()
  ledger.release('lease', object)
  ledger.claim(source, find(2, 'nexthop'))
  shelf.answer = () => {
    throw new Error('replies were lost')
  }
  await ledger.put(soon()).catch(() => undefined)
  shelf.answer = () => done
  await ledger.look(soon())
  await ledger.put(soon())
  await ledger.remove(soon())
  expect([...shelf.objects.values()]).toEqual([find(2, 'nexthop')])
})

test('a look for others’ sake compares all with what is wanted, whatever was forgotten', async () => {
  const { shelf, ledger, object } = await withNexthop()
  ledger.release('lease', object)
  ledger.claim(source, find(2, 'nexthop'))
  await ledger.put(soon())
  ledger.holdRemovals()
  ledger.mark('theirs')
  await ledger.look(soon())
  await ledger.put(soon())
  await ledger.remove(soon())
  expect([...shelf.objects.values()]).toEqual([find(2, 'nexthop')])
  expect(ledger.outcomes.count.repairs).toBe(0)
})

describe('the reconciler', () => {
  test('frees what waited for a nexthop as soon as a retry has put it', async () => {
    const shelf = new Shelf<Nexthop>(nexthopKind)
    const waiting = new Shelf<Neighbour>(neighbourKind)
    const key = nexthopKind.key(find(1, 'nexthop'))
    let tries = 0
    shelf.answer = () => (++tries === 1 ? failed('no') : done)
    waiting.answer = () => (shelf.objects.has(key) ? done : blocked(key, 'no nexthop'))
    await using reconciler = new Reconciler([
      new Ledger(neighbourKind, waiting, SCOPE),
      new Ledger(nexthopKind, shelf, SCOPE),
    ])
    reconciler.want('lease', [find(1, 'nexthop'), find(1, 'neighbour')])
    await reconciler.settled(soon())
    expect(reconciler.report().kinds.neighbour).toMatchObject({ blocked: 1, failing: 0 })
    while (reconciler.failures.size > 0) await setTimeout(10)
    await reconciler.settled(soon())
    expect(reconciler.report().kinds.neighbour).toMatchObject({ blocked: 0, puts: 1 })
  })

  test('goes on with other kinds where one can’t be read, removes nothing of it, and settles when it can', async () => {
    const blind = new Shelf<Nexthop>(nexthopKind)
    const seeing = new Shelf<Neighbour>(neighbourKind)
    const leftover = find(5, 'nexthop')
    blind.objects.set(nexthopKind.key(leftover), leftover)
    blind.dumpFails = 'the kernel is busy'
    await using reconciler = new Reconciler([
      new Ledger(nexthopKind, blind, SCOPE),
      new Ledger(neighbourKind, seeing, SCOPE),
    ])
    reconciler.want('lease', [find(1, 'nexthop'), find(1, 'neighbour')])
    reconciler.complete()
    while (seeing.objects.size === 0) await setTimeout(5)
    expect(reconciler.failures.get('nexthop *')?.reason).toBe('the kernel is busy')
    expect([...blind.objects.values()]).toEqual([leftover])
    let settled = false
    const waiting = reconciler.settled(soon()).then(() => (settled = true))
    await setTimeout(20)
    expect(settled).toBe(false)
    blind.dumpFails = undefined
    await waiting
    expect([...blind.objects.values()]).toEqual([find(1, 'nexthop')])
    expect(reconciler.failures.size).toBe(0)
  })

  test('finds by its audit what nobody announced', async () => {
    const shelf = new Shelf<Neighbour>(neighbourKind)
    await using reconciler = new Reconciler([new Ledger(neighbourKind, shelf, SCOPE)], { auditMs: 30 })
    reconciler.want('lease', [find(1, 'neighbour')])
    reconciler.complete()
    await reconciler.settled(soon())
    const stranger = find(2, 'neighbour')
    shelf.objects.clear()
    shelf.objects.set(neighbourKind.key(stranger), stranger)
    while (reconciler.report().repairs < 2) await setTimeout(5)
    expect([...shelf.objects.values()]).toEqual([find(1, 'neighbour')])
  })

  test('goes on when hearing broke off, and looks at everything then', async () => {
    const shelf = new Shelf<Neighbour>(neighbourKind)
    await using reconciler = new Reconciler([new Ledger(neighbourKind, shelf, SCOPE)])
    reconciler.want('lease', [find(1, 'neighbour')])
    await reconciler.settled(soon())
    shelf.hearingFails = 'a notification of -1 bytes'
    shelf.wake()
    shelf.objects.clear()
    const settled = reconciler.settled(soon())
    await setTimeout(20)
    shelf.hearingFails = undefined
    await settled
    expect(shelf.objects.size).toBe(1)
    shelf.objects.clear()
    shelf.told.push({ kind: 'everything', reason: 'a test' })
    while (shelf.objects.size === 0) {
      shelf.wake()
      await setTimeout(5)
    }
  })

  test('a failed wish that is taken back before all is known leaves nothing to try', async () => {
    const shelf = new Shelf<Neighbour>(neighbourKind)
    shelf.answer = () => failed('no')
    await using reconciler = new Reconciler([new Ledger(neighbourKind, shelf, SCOPE)])
    reconciler.want('lease', [find(1, 'neighbour')])
    await reconciler.settled(soon())
    reconciler.forget('lease')
    await reconciler.settled(soon())
    expect(reconciler.failures.size).toBe(0)
    const { rounds } = reconciler.report()
    await setTimeout(150)
    expect(reconciler.report().rounds).toBe(rounds)
  })

  test('does not hurry for what failed of a kind that can’t be read now, and removes its leftovers later', async () => {
    const shelf = new Shelf<Neighbour>(neighbourKind)
    shelf.answer = ({ op }) => (op === 'put' ? failed('no') : done)
    await using reconciler = new Reconciler([new Ledger(neighbourKind, shelf, SCOPE)], { auditMs: 60 })
    const leftover = find(2, 'neighbour')
    shelf.objects.set(neighbourKind.key(leftover), leftover)
    reconciler.want('lease', [find(1, 'neighbour')])
    reconciler.want('other', [leftover])
    reconciler.complete()
    await reconciler.settled(soon())
    shelf.dumpFails = 'busy'
    while (!reconciler.failures.has('neighbour *')) await setTimeout(5)
    const { rounds } = reconciler.report()
    reconciler.forget('other')
    await setTimeout(250)
    expect(reconciler.report().rounds - rounds).toBeLessThan(12)
    expect(shelf.objects.size).toBe(1)
    shelf.dumpFails = undefined
    await reconciler.settled(soon())
    expect(shelf.objects.size).toBe(0)
  })

  for (const op of ['put', 'remove'] as const)
    test(`pauses longer and longer where a ${op} breaks off each time, though the kind can be read`, async () => {
      const shelf = new Shelf<Neighbour>(neighbourKind)
      const [wanted, leftover] = [find(1, 'neighbour'), find(2, 'neighbour')]
      shelf.objects.set(neighbourKind.key(leftover), leftover)
      const broken: Change<Neighbour>[] = []
      shelf.answer = (change) => {
        if (change.op !== op) return done
        broken.push(change)
        throw new Error('replies were lost')
      }
      await using reconciler = new Reconciler([new Ledger(neighbourKind, shelf, SCOPE)])
      reconciler.want('lease', [wanted])
      reconciler.complete()
      while (broken.length < 3) await setTimeout(5)
      expect(reconciler.failures.get('neighbour *')?.tries).toBe(3)
      shelf.answer = () => done
      await reconciler.settled(soon())
      expect([...shelf.objects.values()]).toEqual([wanted])
      expect(reconciler.failures.size).toBe(0)
    })

  test('removals that fail are tried again like puts', async () => {
    const shelf = new Shelf<Neighbour>(neighbourKind)
    const stale = find(3, 'neighbour', '02:00:00:00:00:33')
    shelf.objects.set(neighbourKind.key(stale), stale)
    let tries = 0
    shelf.answer = () => (++tries === 1 ? failed('busy') : done)
    await using reconciler = new Reconciler([new Ledger(neighbourKind, shelf, SCOPE)])
    reconciler.complete()
    await reconciler.settled(soon())
    expect(reconciler.failures.get('neighbour flannel.1|10.2.3.0')).toMatchObject({
      source: '',
      reason: 'busy',
      tries: 1,
    })
    while (shelf.objects.size > 0) await setTimeout(10)
    await reconciler.settled(soon())
    expect(reconciler.failures.size).toBe(0)
  })
})
