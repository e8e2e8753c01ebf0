// Flags of commands that ask a running flanneld.

export const JSON_FLAG = {
  kind: 'boolean',
  brief: 'Print it as JSON',
  default: false,
  withNegated: false,
} as const

export const SOCKET_FLAG = {
  kind: 'parsed',
  parse: String,
  brief: "flanneld's status socket, if it isn't that of its options",
  placeholder: 'PATH',
  optional: true,
} as const
