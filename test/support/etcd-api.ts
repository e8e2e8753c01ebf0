// The whole of etcd's v3 API for tests, by the generated messages: the client itself speaks only a part of it.
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import * as api from '../../src/store/embedded/gen/etcdserverpb/rpc_pb.ts'
import type { Method } from '../../src/store/etcd/call.ts'

type Generated = Pick<DescService['method'][string], 'input' | 'output'>
type Methods<Service extends { readonly method: Readonly<Record<string, Generated>> }> = {
  readonly [Name in keyof Service['method']]: Method<
    MessageInitShape<Service['method'][Name]['input']>,
    MessageShape<Service['method'][Name]['output']>
  >
}

const methodOf = <I extends DescMessage, O extends DescMessage>(
  service: string,
  { name, input, output }: { readonly name: string; readonly input: I; readonly output: O },
): Method<MessageInitShape<I>, MessageShape<O>> => ({
  service,
  name,
  encode: (request) => toBinary(input, create(input, request)),
  decode: (message) => fromBinary(output, message),
})

const methodsOf = <Service extends DescService>({ method, typeName }: Service) =>
  Object.fromEntries(
    Object.entries(method).map(([key, one]) => [key, methodOf(typeName, one)]),
  ) as unknown as Methods<Service>

export const KV = methodsOf(api.KV)
export const Lease = methodsOf(api.Lease)
export const Watch = methodsOf(api.Watch)
export const Maintenance = methodsOf(api.Maintenance)
export const Cluster = methodsOf(api.Cluster)
export const Auth = methodsOf(api.Auth)
