// Which attachments a runtime says are there: what GC may not touch (CNI spec 1.1 "GC").
import { Code, CniError } from './error.ts'
import { field, isObject, type JsonObject, type JsonValue } from './json.ts'

/** The key in the network's configuration. */
export const VALID_ATTACHMENTS = 'cni.dev/valid-attachments'

interface AttachmentName {
  readonly containerId: string
  readonly ifname: string
}

export class ValidAttachments {
  readonly #names: ReadonlySet<string>
  readonly #containers: ReadonlySet<string>
  /** As the runtime has it, for a delegate. */
  readonly json: JsonValue

  private constructor(names: readonly AttachmentName[], json: JsonValue) {
    this.#names = new Set(names.map(nameOf))
    this.#containers = new Set(names.map(({ containerId }) => containerId))
    this.json = json
  }

  /** Throws CniError where the list is missing or can't be read: then nothing may be taken for garbage. */
  static parse(config: JsonObject): ValidAttachments {
    const json = field(config, VALID_ATTACHMENTS)
    if (json === undefined || !Array.isArray(json))
      throw new CniError(Code.badConfig, `${VALID_ATTACHMENTS} must be a list, not ${JSON.stringify(json)}`)
    return new ValidAttachments((json as readonly JsonValue[]).map(parseName), json)
  }

  /** Without an interface: whether the container has any. */
  has(containerId: string, ifname?: string): boolean {
    return ifname === undefined
      ? this.#containers.has(containerId)
      : this.#names.has(nameOf({ containerId, ifname }))
  }

  /** Whether a name of a state file is of one that is there (state.ts). */
  names(file: string): boolean {
    return this.#names.has(file) || this.#containers.has(file)
  }
}

const nameOf = ({ containerId, ifname }: AttachmentName): string => `${containerId}-${ifname}`

function parseName(json: JsonValue): AttachmentName {
  const containerId = isObject(json) ? field(json, 'containerID') : undefined
  const ifname = isObject(json) ? field(json, 'ifname') : undefined
  if (typeof containerId === 'string' && typeof ifname === 'string') return { containerId, ifname }
  throw new CniError(
    Code.badConfig,
    `an entry of ${VALID_ATTACHMENTS} must have containerID and ifname: ${JSON.stringify(json)}`,
  )
}
