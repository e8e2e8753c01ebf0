// What a runtime may and may not call, and how it is told.
import { describe, expect, test } from 'bun:test'
import { thrown } from '../../test/support/values.ts'
import { commandOf, parseCall, type Environment } from './call.ts'
import { CniError, formatError } from './error.ts'
import { formatVersions } from './versions.ts'

const ENV: Environment = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
}
const CONF = '{"cniVersion":"1.0.0","name":"cbr0","type":"flannel"}'
const parse = (env: Environment = {}, config = CONF) => {
  const all = { ...ENV, ...env }
  return parseCall(commandOf(all), all, config)
}

describe('a call', () => {
  test('is read from environment and config', () => {
    expect(parse({ CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.1.2.3' })).toMatchObject({
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/c1',
      ifname: 'eth0',
      path: ['/opt/cni/bin', '/usr/lib/cni'],
      anyNetns: false,
      version: '1.0.0',
      args: new Map([
        ['IgnoreUnknown', '1'],
        ['K8S_POD_NAME', 'web'],
        ['IP', '10.1.2.3'],
      ]),
    })
    expect(parse({ CNI_NETNS_OVERRIDE: 'TRUE' }).anyNetns).toBe(true)
    expect(parse({}, '{"name":"cbr0"}').version).toBe('0.1.0')
    expect(parse({ CNI_COMMAND: 'DEL', CNI_NETNS: '' }).netns).toBe('')
  })

  const refusals: readonly (readonly [string, Environment, string | undefined, number, string])[] = [
    ['an unknown command', { CNI_COMMAND: 'PUT' }, CONF, 4, 'unknown CNI_COMMAND: PUT'],
    [
      'missing variables',
      { CNI_CONTAINERID: '', CNI_IFNAME: undefined },
      CONF,
      4,
      'required env variables [CNI_CONTAINERID,CNI_IFNAME] missing',
    ],
    ['an ADD without a namespace', { CNI_NETNS: '' }, CONF, 4, '[CNI_NETNS] missing'],
    ['a path as container id', { CNI_CONTAINERID: '../x' }, CONF, 4, 'containerID'],
    ['a container id of a bad start', { CNI_CONTAINERID: '-x' }, CONF, 4, 'containerID'],
    ['a long interface name', { CNI_IFNAME: 'abcdefghijklmnop' }, CONF, 4, 'too long'],
    ['a path as interface name', { CNI_IFNAME: 'a/b' }, CONF, 4, 'whitespace'],
    ['a dot as interface name', { CNI_IFNAME: '..' }, CONF, 4, 'is . or ..'],
    ['arguments without a value', { CNI_ARGS: 'IP' }, CONF, 4, 'CNI_ARGS'],
    ['no JSON', {}, '{', 6, 'failed to load netconf'],
    ['an empty stdin', {}, '', 6, 'failed to load netconf'],
    ['a list', {}, '[]', 6, 'not a JSON object'],
    ['no network name', {}, '{}', 7, 'missing network name'],
    ['a path as network name', {}, '{"name":"../etc"}', 7, 'network name'],
    ['a version to come', {}, '{"name":"a","cniVersion":"9.0.0"}', 1, 'incompatible CNI versions'],
    ['a version that is no text', {}, '{"name":"a","cniVersion":1}', 6, 'cniVersion'],
  ]
  test.each(refusals)('with %s is refused', (_what, env, config, code, message) => {
    expect(thrown(() => parse(env, config))).toMatchObject({
      cniCode: code,
      message: expect.stringContaining(message),
    })
  })
})

test('an error is JSON that a runtime reads, in its version', () => {
  const error = new CniError(11, 'not yet', 'wait')
  expect(JSON.parse(formatError(error, '1.0.0'))).toEqual({
    cniVersion: '1.0.0',
    code: 11,
    msg: 'not yet',
    details: 'wait',
  })
  expect(JSON.parse(formatError(new CniError(7, 'no'), undefined))).toEqual({ code: 7, msg: 'no' })
})

test('VERSION lists what the plugin speaks', () => {
  expect(formatVersions()).toBe(
    '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
  )
})
