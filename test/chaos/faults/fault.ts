// What a fault is: harm done to one host or to the store, in steps.
import type { Site } from '../site.ts'
import type { World } from '../world.ts'

/**
 * `broken`: harm is in force that the oracle must see as long as nobody heals it. `over`: no more harm comes from here,
 * all must be whole within a second.
 */
export type Moment = 'broken' | 'over'

export interface Scene {
  readonly world: World
  readonly site: Site
  /** From 0 up to 1, as the seed has it. */
  readonly random: () => number
  /** Other harm is done to this host at the same time: what is to be broken may be broken already. */
  readonly isCrowded: boolean
}

export interface Fault {
  readonly name: string
  /** Nobody else's fault may happen meanwhile: all hosts have a part in it. */
  readonly isAlone?: boolean
  /** Other harm to the same host may come before its own, or in the middle of it. */
  readonly bearsOthers?: boolean
  readonly run: (scene: Scene) => AsyncGenerator<Moment, void, undefined>
}

/** Harm by one shell script in the host, after which heddle has to do all the rest. */
export const script = (name: string, text: (scene: Scene) => string): Fault => ({
  name,
  bearsOthers: true,
  async *run(scene) {
    await harmBy(scene, text(scene))
    yield 'broken'
    yield 'over'
  },
})

export const harmBy = ({ site, isCrowded }: Scene, text: string): Promise<string> =>
  site.shell.run(isCrowded ? `(${text}\n) || :` : text)

export function choose<T>(random: () => number, list: readonly T[]): T {
  const one = list[Math.floor(random() * list.length)]
  if (one === undefined) throw new RangeError('there is nothing to choose from')
  return one
}

export const wholeNumber = (random: () => number, least: number, most: number): number =>
  least + Math.floor(random() * (most - least + 1))
