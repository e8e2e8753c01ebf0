// Reading mountinfo.
import { expect, test } from 'bun:test'
import { parseMounts } from './mounts.ts'

test('bound namespaces are told from other mounts, blanks in their paths restored', () => {
  const mountinfo = [
    '23 28 0:22 / /proc rw,nosuid - proc proc rw',
    '412 30 0:4 net:[4026532345] /run/heddle-lab/net/h1 rw shared:5 - nsfs nsfs rw',
    '413 30 0:4 net:[4026532346] /tmp/my\\040lab/net/h1p1 rw - nsfs nsfs rw',
    '414 30 0:4 mnt:[4026532001] /run/snapd/ns/x.mnt rw - nsfs nsfs rw',
    '',
  ].join('\n')
  expect(parseMounts(mountinfo)).toEqual([
    { path: '/run/heddle-lab/net/h1', namespace: 'net:[4026532345]' },
    { path: '/tmp/my lab/net/h1p1', namespace: 'net:[4026532346]' },
  ])
})
