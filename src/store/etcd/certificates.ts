// The certificates of a way to etcd: judged before they are used, so that half-written files change nothing, and told
// with their ends for whoever watches over those.
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

type Part = 'ca' | 'cert' | 'key'

/** PEM texts. */
export interface TlsMaterial {
  readonly ca?: string | Buffer
  /** Ours, followed by those between it and its authority. */
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  /** Where they are from, for messages. */
  readonly names?: Readonly<Partial<Record<Part, string>>>
}

/** One that is in use now. */
export interface CertificateInUse {
  readonly whose: 'ours' | "the server's"
  /** The file it is in, or the endpoint that presented it. */
  readonly from: string
  /** `CN=etcd, O=example` */
  readonly subject: string
  /** In hex. */
  readonly serial: string
  readonly notAfter: Date
}

const NAMES: Readonly<Record<Part, string>> = {
  ca: 'the CA',
  cert: 'the client certificate',
  key: 'the key of the client certificate',
}

/** Throws Error with a sentence for what TLS couldn't be spoken with. */
export function requireUsable(material: TlsMaterial): void {
  for (const part of ['ca', 'cert'] as const) {
    const pem = material[part]
    if (pem !== undefined) parse(pem, nameOf(material, part))
  }
  // Without a key, or with nothing in it, TLS would just not show the certificate.
  if ((material.cert === undefined) !== (material.key === undefined) || material.key?.length === 0)
    throw new Error(
      `${nameOf(material, 'key')} and ${nameOf(material, 'cert')} go together: one of them is missing or empty`,
    )
  try {
    createSecureContext({ ca: material.ca, cert: material.cert, key: material.key })
  } catch (cause) {
    throw new Error(sentence(material, cause), { cause })
  }
}

function sentence(material: TlsMaterial, cause: unknown): string {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return detail.includes('KEY_VALUES_MISMATCH')
    ? `${nameOf(material, 'key')} doesn't belong to ${nameOf(material, 'cert')}`
    : `${nameOf(material, 'key')}: ${detail}`
}

/** Of the texts that a connection uses. */
export const certificatesOf = (material: TlsMaterial): CertificateInUse[] =>
  (['ca', 'cert'] as const).flatMap((part) => {
    const name = nameOf(material, part)
    const pem = material[part]
    return pem === undefined ? [] : parse(pem, name).map((one) => inUse(one, 'ours', name))
  })

/** What a server has presented, its own certificate first; not the authority that we have in a file ourselves. */
export function presented(
  leaf: X509Certificate | undefined,
  endpoint: string,
  ours: TlsMaterial,
): CertificateInUse[] {
  const known = new Set(ours.ca === undefined ? [] : parse(ours.ca, '').map((one) => one.fingerprint256))
  const found: CertificateInUse[] = []
  for (let one = leaf; one !== undefined; one = one.issuerCertificate) {
    if (one !== leaf && known.has(one.fingerprint256)) break
    known.add(one.fingerprint256)
    found.push(inUse(one, "the server's", endpoint))
  }
  return found
}

/** The same texts, so that nothing is to be gained by a new connection. */
export const isSameMaterial = (a: TlsMaterial, b: TlsMaterial): boolean =>
  (['ca', 'cert', 'key'] as const).every((part) => String(a[part] ?? '') === String(b[part] ?? ''))

const nameOf = ({ names }: TlsMaterial, part: Part): string => names?.[part] ?? NAMES[part]

const inUse = (one: X509Certificate, whose: CertificateInUse['whose'], from: string): CertificateInUse => ({
  whose,
  from,
  subject: one.subject.replaceAll('\n', ', '),
  serial: one.serialNumber,
  notAfter: one.validToDate,
})

const BEGIN = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/g
const WHOLE = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[^-]+-----END \1-----/g

/** All certificates of a text; there may be others things in between. */
function parse(pem: string | Buffer, name: string): X509Certificate[] {
  const text = pem.toString('latin1')
  const whole = text.match(WHOLE) ?? []
  if (whole.length === 0) throw new Error(`${name} holds no certificate in PEM form`)
  if (whole.length !== text.match(BEGIN)?.length) throw new Error(`${name} is cut off within a certificate`)
  return whole.map((one) => {
    try {
      return new X509Certificate(one)
    } catch (cause) {
      throw new Error(`${name} holds a certificate that can't be read`, { cause })
    }
  })
}
