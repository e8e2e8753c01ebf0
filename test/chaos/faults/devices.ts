// Faults of heddle's own devices.
import { deviceOf, FAMILIES, flagOf, type Family } from '../family.ts'
import { choose, script, wholeNumber, type Fault, type Scene } from './fault.ts'

const onDevice = (name: string, text: (device: string, family: Family, scene: Scene) => string): Fault =>
  script(name, (scene) => {
    const family = choose(scene.random, FAMILIES)
    return text(deviceOf(family), family, scene)
  })

export const DEVICE_FAULTS: readonly Fault[] = [
  onDevice('device deleted', (device) => `ip link del ${device}`),
  onDevice('device left down', (device) => `ip link set ${device} down`),
  onDevice('device down and up', (device) => `ip link set ${device} down; ip link set ${device} up`),
  onDevice('device renamed', (device) => `ip link set ${device} name elsewhere`),
  onDevice(
    'device renamed, another one in its place',
    (device) =>
      // In one go, else heddle's own has its name back in between: then there is nothing to be in the place of.
      `ip link add other type vxlan id 77 dev lo dstport 4789
    printf 'link set ${device} name elsewhere\\nlink set other name ${device}\\n' | ip -batch - || ip link del other`,
  ),
  onDevice(
    'device replaced by another vxlan of its name',
    (device) =>
      `ip link add other type vxlan id 77 dev lo dstport 4789
    printf 'link del ${device}\\nlink set other name ${device}\\n' | ip -batch - || ip link del other`,
  ),
  onDevice('device with another MAC', (device, _family, { random }) => {
    const last = wholeNumber(random, 16, 99)
    return `ip link set ${device} address 02:ba:d0:00:00:${last}`
  }),
  onDevice(
    'device with another MTU',
    (device, _family, { random }) => `ip link set ${device} mtu ${choose(random, [1280, 1300, 1320])}`,
  ),
  onDevice(
    'device without its address',
    (device, family) => `ip ${flagOf(family)} address flush dev ${device} scope global`,
  ),
  onDevice('device with another address', (device, family, { random }) => {
    const ip = family === 'ipv4' ? '10.244.90.0/32' : 'fd44:244:0:fa::/128'
    const flush = `ip ${flagOf(family)} address flush dev ${device} scope global`
    return `${random() < 0.5 ? flush : ':'}\nip address add ${ip} dev ${device}`
  }),
  onDevice('device that learns', (device) => `ip link set ${device} type vxlan id 1 learning`),
  script(
    'device of IPv4 with another local address',
    ({ random }) =>
      `ip link set flannel.1 type vxlan id 1 local 192.168.100.${wholeNumber(random, 200, 220)}`,
  ),
]
