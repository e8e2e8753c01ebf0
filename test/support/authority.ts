// Certificates of any validity, made in this process: `new Authority('ca').issue({ name: 'client' })`. P-256 keys, written
// as X.509 v3 by hand (RFC 5280), because no command lets a test choose the second at which a certificate ends.
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { ipToBytes, parseIp } from '../../src/model/ip.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

export interface Validity {
  /** An hour ago unless given. */
  readonly notBefore?: Date
  /** Thirty days from now unless given. */
  readonly notAfter?: Date
}
export interface CertificateWish extends Validity {
  readonly name: string
  /** IP addresses and DNS names of a server. */
  readonly hosts?: readonly string[]
}
/** PEM texts; `cert` is followed by the authorities above it, the root left out. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** An authority that signed itself, or one below another (`authority.below('name')`). */
export class Authority {
  readonly name: string
  /** Its own certificate, PEM. */
  readonly cert: string
  readonly #key: KeyObject
  readonly #keyId: Buffer
  /** What must go along with what it issues. */
  readonly #chain: string

  constructor(name: string, validity: Validity = {}, above?: Authority) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.name = name
    this.#key = privateKey
    this.#keyId = keyIdOf(publicKey)
    const issuer = above ?? this
    this.cert = pem(
      'CERTIFICATE',
      certificate({ name, publicKey, validity, isAuthority: true, hosts: [] }, issuer.#signer()),
    )
    this.#chain = above === undefined ? '' : this.cert + above.#chain
  }

  below(name: string, validity: Validity = {}): Authority {
    return new Authority(name, validity, this)
  }

  /** For a server, a client, or both. */
  issue({ name, hosts = [], ...validity }: CertificateWish): Certificate {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const own = certificate({ name, publicKey, validity, isAuthority: false, hosts }, this.#signer())
    return {
      cert: pem('CERTIFICATE', own) + this.#chain,
      key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    }
  }

  #signer(): Signer {
    return { name: this.name, key: this.#key, keyId: this.#keyId }
  }
}

interface Signer {
  readonly name: string
  readonly key: KeyObject
  readonly keyId: Buffer
}
interface Subject {
  readonly name: string
  readonly publicKey: KeyObject
  readonly validity: Validity
  readonly isAuthority: boolean
  readonly hosts: readonly string[]
}

/** Tags of X.690. */
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
} as const
/** Object identifiers, encoded. */
const OID = {
  commonName: '550403',
  ecdsaWithSha256: '2a8648ce3d040302',
  subjectKeyId: '551d0e',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  authorityKeyId: '551d23',
  extKeyUsage: '551d25',
  serverAuth: '2b06010505070301',
  clientAuth: '2b06010505070302',
} as const

function certificate(subject: Subject, signer: Signer): Buffer {
  const { notBefore = new Date(Date.now() - HOUR_MS), notAfter = new Date(Date.now() + 30 * DAY_MS) } =
    subject.validity
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const serial = randomBytes(16)
  // Positive, and without leading zeros.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  const body = sequence(
    explicit(0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    algorithm,
    nameOf(signer.name),
    sequence(time(notBefore), time(notAfter)),
    nameOf(subject.name),
    spki(subject.publicKey),
    explicit(3, sequence(...extensions(subject, signer))),
  )
  return sequence(body, algorithm, bits(sign('sha256', body, signer.key)))
}

function extensions({ publicKey, isAuthority, hosts }: Subject, signer: Signer): Buffer[] {
  const constraints = isAuthority ? sequence(der(TAG.boolean, Buffer.from([0xff]))) : sequence()
  // keyCertSign and cRLSign; digitalSignature.
  const usage = Buffer.from(isAuthority ? [0x01, 0x06] : [0x07, 0x80])
  return [
    extension(OID.basicConstraints, constraints, true),
    extension(OID.keyUsage, der(TAG.bits, usage), true),
    extension(OID.subjectKeyId, der(TAG.bytes, keyIdOf(publicKey))),
    extension(OID.authorityKeyId, sequence(der(0x80, signer.keyId))),
    ...(isAuthority ? [] : [extension(OID.extKeyUsage, sequence(oid(OID.serverAuth), oid(OID.clientAuth)))]),
    ...(hosts.length === 0 ? [] : [extension(OID.subjectAltName, sequence(...hosts.map(generalName)))]),
  ]
}

const extension = (id: string, value: Buffer, critical = false): Buffer =>
  sequence(oid(id), ...(critical ? [der(TAG.boolean, Buffer.from([0xff]))] : []), der(TAG.bytes, value))

/** iPAddress or dNSName of RFC 5280 §4.2.1.6. */
function generalName(host: string): Buffer {
  const ip = parseIp(host)
  return ip === undefined ? der(0x82, Buffer.from(host, 'ascii')) : der(0x87, Buffer.from(ipToBytes(ip)))
}

const nameOf = (commonName: string): Buffer =>
  sequence(der(TAG.set, sequence(oid(OID.commonName), der(TAG.utf8, Buffer.from(commonName)))))

/** YYMMDDhhmmssZ, good until 2049. */
const time = (at: Date): Buffer =>
  der(
    TAG.utcTime,
    Buffer.from(
      `${at
        .toISOString()
        .replace(/[-:T]|\..*/g, '')
        .slice(2)}Z`,
      'ascii',
    ),
  )

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })
const keyIdOf = (key: KeyObject): Buffer => createHash('sha1').update(spki(key)).digest()
const oid = (encoded: string): Buffer => der(TAG.oid, Buffer.from(encoded, 'hex'))
const bits = (content: Buffer): Buffer => der(TAG.bits, Buffer.concat([Buffer.from([0]), content]))
const sequence = (...parts: readonly Buffer[]): Buffer => der(TAG.sequence, Buffer.concat(parts))
const explicit = (number: number, content: Buffer): Buffer => der(0xa0 + number, content)

/** Tag, length and content; lengths to 65,535. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

const pem = (label: string, content: Buffer): string =>
  `-----BEGIN ${label}-----\n${content.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`
