// Results to the byte of what the stock bridge plugin 1.1.1 prints for the same pod.
import { expect, test } from 'bun:test'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { formatResult, type Result } from './result.ts'

const RESULT: Result = {
  interfaces: [
    { name: 'cni0', mac: mac('56:4a:e7:13:3f:09'), mtuBytes: 1450, sandbox: undefined },
    { name: 'veth525d476f', mac: mac('02:41:7b:68:33:15'), mtuBytes: 1450, sandbox: undefined },
    { name: 'eth0', mac: mac('d2:18:89:b3:d2:8a'), mtuBytes: 1450, sandbox: '/run/netns/p' },
  ],
  ips: [
    { ip: ip('10.244.1.4'), length: 24, gateway: ip('10.244.1.1'), interface: 2 },
    { ip: ip('fd00:1::4'), length: 64, gateway: ip('fd00:1::1'), interface: 2 },
  ],
  routes: [
    { dst: prefix('10.244.0.0/16') },
    { dst: prefix('fd00::/16') },
    { dst: prefix('0.0.0.0/0'), gw: ip('10.244.1.1') },
    { dst: prefix('::/0'), gw: ip('fd00:1::1') },
  ],
  dns: {},
}
const INTERFACES =
  '"interfaces":[{"name":"cni0","mac":"56:4a:e7:13:3f:09"},{"name":"veth525d476f","mac":"02:41:7b:68:33:15"},{"name":"eth0","mac":"d2:18:89:b3:d2:8a","sandbox":"/run/netns/p"}]'
const ROUTES =
  '"routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00::/16"},{"dst":"0.0.0.0/0","gw":"10.244.1.1"},{"dst":"::/0","gw":"fd00:1::1"}],"dns":{}}'
const IPS =
  '"ips":[{"interface":2,"address":"10.244.1.4/24","gateway":"10.244.1.1"},{"interface":2,"address":"fd00:1::4/64","gateway":"fd00:1::1"}]'
const IPS_WITH_VERSION = IPS.replace('{"interface"', '{"version":"4","interface"').replace(
  ',{"interface"',
  ',{"version":"6","interface"',
)
const OLD =
  '"ip4":{"ip":"10.244.1.4/24","gateway":"10.244.1.1","routes":[{"dst":"10.244.0.0/16"},{"dst":"0.0.0.0/0","gw":"10.244.1.1"}]},"ip6":{"ip":"fd00:1::4/64","gateway":"fd00:1::1","routes":[{"dst":"fd00::/16"},{"dst":"::/0","gw":"fd00:1::1"}]},"dns":{}}'

test.each([
  ['0.1.0', `{"cniVersion":"0.1.0",${OLD}`],
  ['0.2.0', `{"cniVersion":"0.2.0",${OLD}`],
  ['0.3.0', `{"cniVersion":"0.3.0",${INTERFACES},${IPS_WITH_VERSION},${ROUTES}`],
  ['0.3.1', `{"cniVersion":"0.3.1",${INTERFACES},${IPS_WITH_VERSION},${ROUTES}`],
  ['0.4.0', `{"cniVersion":"0.4.0",${INTERFACES},${IPS_WITH_VERSION},${ROUTES}`],
  ['1.0.0', `{"cniVersion":"1.0.0",${INTERFACES},${IPS},${ROUTES}`],
  [
    '1.1.0',
    `{"cniVersion":"1.1.0",${INTERFACES.replace(/("mac":"[^"]*")/g, '$1,"mtu":1450')},${IPS},${ROUTES}`,
  ],
] as const)('the result of %s', (version, text) => {
  expect(formatResult(RESULT, version)).toBe(JSON.stringify(JSON.parse(text), null, 4))
})

test('a pod without IPv6 has none of it in the old form', () => {
  const only = { ...RESULT, ips: RESULT.ips.slice(0, 1), routes: [] }
  expect(JSON.parse(formatResult(only, '0.2.0'))).toEqual({
    cniVersion: '0.2.0',
    ip4: { ip: '10.244.1.4/24', gateway: '10.244.1.1' },
    dns: {},
  })
})
