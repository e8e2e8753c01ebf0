// What kernel settings were before heddle set them, so that they can be put back.

export interface FormerSetting {
  /** As a Sysctl's. */
  readonly name: string
  readonly former: number
  /** What it was once heddle had set it, as the kernel may round: only where it is still that is it put back. */
  readonly set: number
  /** Left as it is in the end, for others may rely on it by then; only told. */
  readonly isLeft: boolean
}

/** Where it is kept is its own business; it never throws. */
export interface FormerSettings {
  all(): readonly FormerSetting[]
  find(name: string): FormerSetting | undefined
  /** Replaces what there is of this name. */
  note(setting: FormerSetting): void
  forget(name: string): void
}

/** As long as this process. */
export function formerSettings(): FormerSettings {
  const known = new Map<string, FormerSetting>()
  return {
    all: () => [...known.values()],
    find: (name) => known.get(name),
    note: (setting) => void known.set(setting.name, setting),
    forget: (name) => void known.delete(name),
  }
}
