// The CNI spec versions this plugin speaks, oldest first.
import { Code, CniError } from './error.ts'

export const SUPPORTED = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof SUPPORTED)[number]

/** A config without a version is one of 0.1.0. */
export function parseVersion(text: string | undefined): CniVersion {
  const version = SUPPORTED.find((v) => v === (text === undefined || text === '' ? '0.1.0' : text))
  if (version !== undefined) return version
  throw new CniError(
    Code.incompatibleVersion,
    'incompatible CNI versions',
    `config is ${JSON.stringify(text)}, plugin supports ${JSON.stringify(SUPPORTED)}`,
  )
}

export const atLeast = (version: CniVersion, wanted: CniVersion): boolean =>
  SUPPORTED.indexOf(version) >= SUPPORTED.indexOf(wanted)

export const formatVersions = (): string =>
  `${JSON.stringify({ cniVersion: SUPPORTED.at(-1), supportedVersions: SUPPORTED })}\n`
