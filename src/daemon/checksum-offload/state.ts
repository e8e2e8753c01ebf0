// What is known of each tunnel device's checksum offload, and what is wished of it: by option, else as peers have
// answered. Pure but for the log's words.
import type { Finding } from '../../offload/survey.ts'

/**
 * `as found`: somebody else has switched it off, and nothing is asked. `asking again`: it is on for as long. `forbidden`:
 * this process may open no raw socket.
 */
export type Known = Finding | 'as found' | 'asking again' | 'forbidden'

export interface OffloadTold {
  /** Absent where nothing is wished: as the device has it. */
  readonly txChecksumming?: 'on' | 'off'
  readonly why: string
}

export class OffloadState {
  readonly #option: 'auto' | 'on' | 'off'
  readonly #devices = new Set<string>()
  readonly #known = new Map<string, Known>()

  /** `option`: auto, on or off. */
  constructor(option: string) {
    this.#option = option === 'on' || option === 'off' ? option : 'auto'
  }

  /** Whether peers are to be asked. */
  get isOpen(): boolean {
    return this.#option === 'auto'
  }

  /** For Link.checksumOffload; from then on the device is told of. */
  wishFor(device: string): boolean | undefined {
    this.#devices.add(device)
    if (this.#option !== 'auto') return this.#option === 'on'
    const known = this.#known.get(device)
    if (known === 'asking again') return true
    return typeof known === 'object' && known.verdict === 'bad' ? false : undefined
  }

  known(device: string): Known | undefined {
    return this.#known.get(device)
  }
  learn(device: string, known: Known): void {
    this.#known.set(device, known)
  }

  /** For /status, by device. */
  tell(): Readonly<Record<string, OffloadTold>> {
    return Object.fromEntries(
      Array.from(this.#devices, (device) => {
        const wish = this.wishFor(device)
        const txChecksumming = wish === undefined ? {} : ({ txChecksumming: wish ? 'on' : 'off' } as const)
        return [device, { ...txChecksumming, why: this.why(device) }]
      }),
    )
  }

  /** Why it is as wished, in words. */
  why(device: string): string {
    return this.isOpen ? whyOf(this.#known.get(device)) : `--checksum-offload=${this.#option}`
  }
}

function whyOf(known: Known | undefined): string {
  if (known === undefined) return 'no peer has been asked yet'
  if (known === 'as found') return 'somebody else has switched it off: left so'
  if (known === 'asking again') return 'peers are being asked again'
  if (known === 'forbidden')
    return "peers can't be asked whether it does harm: give flanneld CAP_NET_RAW, or --checksum-offload=on or off"
  const { verdict, mark, deaf, answering, silent } = known
  const marked = mark === 0 ? '' : ` (packets with mark 0x${mark.toString(16)})`
  switch (verdict) {
    case 'bad':
      return `checksums left to the device don't arrive${marked}: ${some(deaf)} never answered such packets, and others each time`
    case 'odd':
      return `checksums left to the device arrive at ${some(answering)}, but not at ${some(deaf)}${marked}: left on`
    case 'good':
      return `checksums left to the device arrive: ${some(answering)} answered`
    case 'unknown':
      return silent.length === 0 ? 'no peer could tell' : `no peer has answered: asked ${some(silent)}`
    default:
      return verdict satisfies never
  }
}

const MOST_NAMED = 3
const some = (names: readonly string[]): string =>
  names.length <= MOST_NAMED
    ? names.join(' and ')
    : `${names.slice(0, MOST_NAMED).join(', ')} and ${names.length - MOST_NAMED} more`
