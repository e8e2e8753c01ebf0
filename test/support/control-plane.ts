// A Kubernetes API to talk to: a real kube-apiserver on a segment's etcd, and objects written through it by plain HTTPS:
// `await using plane = await ControlPlane.start(segment, store)`. Its one token may do everything.
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { kubernetes } from '../../scripts/kube-peers.ts'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { Authority } from './authority.ts'
import { eventually, Running } from './process.ts'
import { STORE_IP, type Segment } from './segment.ts'
import type { TestStore } from './stores.ts'
import { TlsFolder } from './tls-files.ts'

const PORT = 6443
const SERVER = `https://${STORE_IP}:${PORT}`
const SERVICE_NETWORKS = ['10.96.0.0/16', 'fd00:96::/112']
/** Where the objects of tests are. */
const IN_DEFAULT = {
  v1: 'api/v1/namespaces/default',
  discovery: 'apis/discovery.k8s.io/v1/namespaces/default',
}

interface ServiceWish {
  readonly name: string
  readonly clusterIp: Readonly<Record<Family, string>>
  readonly nodePort: number
  /** Local keeps the address of who asks a node port, and asks endpoints of that node alone. */
  readonly policy?: 'Cluster' | 'Local'
}
interface Endpoint {
  readonly ip: Readonly<Record<Family, string>>
  readonly node: string
}
/** Of every service here: port 80, answered by pods at this one. */
export const TARGET_PORT = 8080

export class ControlPlane implements AsyncDisposable {
  readonly #segment: Segment
  readonly #files: TlsFolder
  readonly #process: Running
  readonly #token: string
  /** The path of a kubeconfig. */
  readonly kubeconfig: string

  private constructor(segment: Segment, files: TlsFolder, process: Running, token: string) {
    this.#segment = segment
    this.#files = files
    this.#process = process
    this.#token = token
    this.kubeconfig = files.put('kubeconfig', kubeconfig(files.path('ca.pem'), token))
  }

  /** Serving, and with a namespace `default`. */
  static async start(segment: Segment, store: TestStore): Promise<ControlPlane> {
    using stack = new DisposableStack()
    const files = stack.use(new TlsFolder())
    const token = randomBytes(16).toString('hex')
    const process = Running.start(
      kubernetes,
      ['kube-apiserver', ...flags(files, token), `--etcd-servers=${store.endpoint}`],
      { namespace: segment.switch.namespace },
    )
    const plane = new ControlPlane(segment, files, process, token)
    stack.move()
    try {
      await plane.#served()
      return plane
    } catch (error) {
      const said = process.tail()
      await plane[Symbol.asyncDispose]()
      throw new Error(`kube-apiserver doesn't serve; its last lines:\n${said}`, { cause: error })
    }
  }

  /** A request with a JSON body, as kubectl sends it; what is answered. Throws with that unless it went well. */
  request(method: string, path: string, body?: object): unknown {
    const type = method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json'
    const words = ['--silent', '--show-error', '--fail-with-body', '--max-time', '10', '--request', method]
    const headers = ['--header', `Authorization: Bearer ${this.#token}`, '--header', `Content-Type: ${type}`]
    const url = ['--cacert', this.#files.path('ca.pem'), `${SERVER}/${path}`]
    const done = spawnSync(
      'nsenter',
      [
        `--net=${this.#segment.switch.namespace.path}`,
        'curl',
        ...words,
        ...headers,
        ...(body === undefined ? [] : ['--data-binary', '@-']),
        ...url,
      ],
      { encoding: 'utf8', ...(body !== undefined && { input: JSON.stringify(body) }) },
    )
    if (done.status !== 0) throw new Error(`${method} ${path} failed: ${done.stderr}${done.stdout}`)
    return done.stdout.startsWith('{') ? (JSON.parse(done.stdout) as unknown) : done.stdout
  }

  /** A node that is ready, as its kubelet would say. */
  addNode(name: string, addresses: readonly string[]): void {
    this.request('POST', 'api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: {
        addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    })
  }

  /** Made, or changed to that. */
  putService({ name, clusterIp, nodePort, policy = 'Cluster' }: ServiceWish): void {
    this.#apply(`${IN_DEFAULT.v1}/services/${name}`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: {
        type: 'NodePort',
        ipFamilyPolicy: 'RequireDualStack',
        ipFamilies: ['IPv4', 'IPv6'],
        clusterIP: clusterIp.ipv4,
        clusterIPs: [clusterIp.ipv4, clusterIp.ipv6],
        externalTrafficPolicy: policy,
        ports: [{ name: 'tcp', port: 80, targetPort: TARGET_PORT, nodePort, protocol: 'TCP' }],
      },
    })
  }

  /** All endpoints of a service, of both families. */
  putEndpoints(service: string, endpoints: readonly Endpoint[]): void {
    for (const family of FAMILIES) {
      const name = `${service}-${family}`
      this.#apply(`${IN_DEFAULT.discovery}/endpointslices/${name}`, {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, labels: { 'kubernetes.io/service-name': service } },
        addressType: { ipv4: 'IPv4', ipv6: 'IPv6' }[family],
        endpoints: endpoints.map(({ ip, node }) => ({
          addresses: [ip[family]],
          conditions: { ready: true },
          nodeName: node,
        })),
        ports: [{ name: 'tcp', port: TARGET_PORT, protocol: 'TCP' }],
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
    this.#files[Symbol.dispose]()
  }

  #apply(path: string, body: object): void {
    this.request('PATCH', `${path}?fieldManager=test&force=true`, body)
  }

  async #served(): Promise<void> {
    await eventually(
      'kube-apiserver has a namespace default',
      async () => {
        if (!this.#process.running) throw new Error('kube-apiserver has ended')
        try {
          return this.request('GET', 'api/v1/namespaces/default')
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 100))
          return undefined
        }
      },
      60,
    )
  }
}

const kubeconfig = (ca: string, token: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: SERVER, 'certificate-authority': ca } }],
    users: [{ name: 'u', user: { token } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'c',
  })

/** RBAC's roles are of no use to these tests, and cost seconds of start. */
function flags(files: TlsFolder, token: string): string[] {
  const authority = new Authority('kubernetes CA')
  files.put('ca.pem', authority.cert)
  const { cert, key } = files.write(
    'server',
    authority.issue({ name: 'kube-apiserver', hosts: [STORE_IP, '10.96.0.1', 'kubernetes.default.svc'] }),
  )
  const accounts = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signing = files.put(
    'accounts.key',
    String(accounts.privateKey.export({ type: 'sec1', format: 'pem' })),
  )
  const verifying = files.put(
    'accounts.pem',
    String(accounts.publicKey.export({ type: 'spki', format: 'pem' })),
  )
  return [
    `--bind-address=${STORE_IP}`,
    `--advertise-address=${STORE_IP}`,
    `--secure-port=${PORT}`,
    `--tls-cert-file=${cert}`,
    `--tls-private-key-file=${key}`,
    `--token-auth-file=${files.put('tokens.csv', `${token},test,test,"system:masters"\n`)}`,
    '--anonymous-auth=false',
    '--authorization-mode=AlwaysAllow',
    `--service-cluster-ip-range=${SERVICE_NETWORKS.join(',')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-signing-key-file=${signing}`,
    `--service-account-key-file=${verifying}`,
  ]
}
