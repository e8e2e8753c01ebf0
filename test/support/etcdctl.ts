// What the stock etcdctl says about a server, in a form that can be compared between two.
import { spawnSync } from 'node:child_process'
import type { EtcdServer } from './etcd.ts'

export interface EtcdctlStep {
  readonly args: readonly string[]
  readonly input?: string
}

/** Exit code, stdout and stderr, without what differs between any two servers or runs. */
export function etcdctl(server: EtcdServer, { args, input }: EtcdctlStep): string {
  const { stdout, stderr, status } = spawnSync('etcdctl', [`--endpoints=${server.endpoint}`, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ETCDCTL_API: '3' },
    input: input ?? '',
    timeout: 20_000,
  })
  const error = stderr.split('\n').filter((line) => !line.startsWith('{'))
  return (
    `${status}\n${stdout}\n${error.join('\n')}`
      .replaceAll(server.endpoint, 'ENDPOINT')
      .replaceAll(/"(cluster_id|member_id|ID|id)":\d+/g, '"$1":N')
      .replaceAll(/"raft_term":\d+/g, '"raft_term":N')
      // etcd's own answer has no header where nothing was done.
      .replaceAll(/^\{("header":\{[^}]*\})?\}$/gm, '{}')
      .replaceAll(/lease [0-9a-f]{16}/g, 'lease HEX')
      .replaceAll(/took"?( = |:")[\d.µm]+s/g, 'took$1TIME')
  )
}

/** All answers to the steps, each with its command, in one of etcdctl's forms after the other. */
export function etcdctlAnswers(
  server: EtcdServer,
  steps: readonly EtcdctlStep[],
  forms: readonly ('simple' | 'json')[] = ['simple', 'json'],
): string[] {
  return forms.flatMap((form) =>
    steps.map(
      ({ args, ...rest }) =>
        `etcdctl ${args.join(' ')}: ${etcdctl(server, { args: [`--write-out=${form}`, ...args], ...rest })}`,
    ),
  )
}
