// Where our jump goes: anywhere packets get to it, and nowhere else; and what leads to a chain goes before it.
import { describe, expect, test } from 'bun:test'
import type { IptablesChain } from '../model/kernel.ts'
import { chainIn, putLines, removeLines } from './chain-text.ts'
import { firstWall } from './reach.ts'
import { parseSave, type SavedTable } from './save-text.ts'

const JUMP = '-m comment --comment "flanneld forward" -j FLANNEL-FWD'
const want: IptablesChain = {
  kind: 'iptables-chain',
  flavour: 'legacy',
  family: 'ipv4',
  table: 'filter',
  name: 'FLANNEL-FWD',
  rules: ['-s 10.0.0.0/8 -j ACCEPT'],
  jump: { from: 'FORWARD', rule: JUMP },
}

/** A filter table with these lines; chains are declared by the way. */
function filter(...lines: string[]): SavedTable {
  const names = new Set(lines.map((line) => line.split(' ')[1] ?? ''))
  names.delete('FORWARD')
  const text = ['*filter', ':FORWARD ACCEPT [0:0]', ...[...names].map((n) => `:${n} - [0:0]`)]
  const table = parseSave([...text, ...lines, 'COMMIT', ''].join('\n')).get('filter')
  if (table === undefined) throw new Error('no filter table')
  return table
}
const OURS = '-A FLANNEL-FWD -s 10.0.0.0/8 -j ACCEPT'
const read = (table: SavedTable) => chainIn(table, want, 'FORWARD')

describe('a chain of ours', () => {
  test('is read with its jump', () => {
    expect(read(filter('-A FORWARD -i a -j DROP', `-A FORWARD ${JUMP}`, OURS))).toEqual(want)
    expect(read(filter('-A FORWARD -j ACCEPT'))).toBeUndefined()
  })

  test('is awry without a jump, with two, and behind a wall', () => {
    expect(read(filter(OURS))?.awry).toContain('nothing in FORWARD')
    expect(read(filter(`-A FORWARD ${JUMP}`, '-A FORWARD -j FLANNEL-FWD', OURS))?.awry).toContain('2 rules')
    expect(read(filter('-A FORWARD -j REJECT', `-A FORWARD ${JUMP}`, OURS))?.awry).toContain('rule 1')
  })

  test('may be led to by others, under conditions of theirs', () => {
    const table = filter('-A FORWARD -i a -j FLANNEL-FWD', `-A FORWARD ${JUMP}`, OURS, '-A X -g FLANNEL-FWD')
    expect(read(table)).toEqual(want)
    expect(removeLines(table, 'FLANNEL-FWD')).toEqual([
      '-D FORWARD -i a -j FLANNEL-FWD',
      `-D FORWARD ${JUMP}`,
      '-D X -g FLANNEL-FWD',
      '-F FLANNEL-FWD',
      '-X FLANNEL-FWD',
    ])
  })

  test('is no other chain whose name begins like its own', () => {
    expect(
      read(filter('-A FORWARD -j FLANNEL-FWD-2', `-A FORWARD ${JUMP}`, OURS, '-A FLANNEL-FWD-2')),
    ).toEqual(want)
  })
})

describe('putting a chain', () => {
  const body = [':FLANNEL-FWD - [0:0]', OURS]

  test('leaves a jump that is right where it is', () => {
    expect(
      putLines(filter(`-A FORWARD ${JUMP}`, '-A FORWARD -j DROP', '-A FLANNEL-FWD -j DROP'), want),
    ).toEqual(body)
  })
  test('appends it, behind whoever was first', () => {
    expect(putLines(undefined, want)).toEqual([...body, `-A FORWARD ${JUMP}`])
    expect(putLines(filter('-A FORWARD -j KUBE', '-A KUBE -i a -j DROP'), want)).toEqual([
      ...body,
      `-A FORWARD ${JUMP}`,
    ])
  })
  test('puts it right before what lets nothing through', () => {
    const table = filter('-A FORWARD -i a -j DROP', '-A FORWARD -j REJECT', `-A FORWARD ${JUMP}`, OURS)
    expect(putLines(table, want)).toEqual([...body, `-D FORWARD ${JUMP}`, `-I FORWARD 2 ${JUMP}`])
  })
  test('counts places without the jumps that go', () => {
    const table = filter(`-A FORWARD -j FLANNEL-FWD`, '-A FORWARD -i a', '-A FORWARD -j DROP', OURS)
    expect(putLines(table, want)).toEqual([...body, '-D FORWARD -j FLANNEL-FWD', `-I FORWARD 2 ${JUMP}`])
  })
})

describe('a wall', () => {
  const wall = (...lines: string[]) => firstWall(filter(...lines), 'FORWARD')

  test('is an end without a condition', () => {
    expect(wall('-A FORWARD -m comment --comment "-i b" -j DROP')).toBe(0)
    expect(wall('-A FORWARD -j RETURN')).toBe(0)
    expect(wall('-A FORWARD -j LOG --log-prefix x', '-A FORWARD -j REJECT --reject-with tcp-reset')).toBe(1)
    expect(wall('-A FORWARD -i a -j DROP', '-A FORWARD', '-A FORWARD -m state --state NEW -j ACCEPT')).toBe(
      undefined,
    )
  })
  test('may be in a chain of others, on each way through it', () => {
    expect(wall('-A FORWARD -j A', '-A A -i a -j ACCEPT', '-A A -j DROP')).toBe(0)
    expect(wall('-A FORWARD -j A', '-A A -i a -j RETURN', '-A A -j DROP')).toBeUndefined()
    expect(wall('-A FORWARD -j A', '-A A -j RETURN', '-A A -j DROP')).toBeUndefined()
    expect(wall('-A FORWARD -i a -j A', '-A A -j DROP')).toBeUndefined()
    expect(wall('-A FORWARD -j A', '-A A -j B', '-A B -j DROP')).toBe(0)
    expect(wall('-A FORWARD -j A', '-A A -i a -g B', '-A A -j DROP', '-A B -i b')).toBeUndefined()
    expect(wall('-A FORWARD -j A', '-A A -i a -g B', '-A A -j DROP', '-A B -j ACCEPT')).toBe(0)
    expect(wall('-A FORWARD -j A', '-A A -g B', '-A A -j DROP', '-A B -i b')).toBeUndefined()
    expect(wall('-A FORWARD -g A', '-A A -i b')).toBe(0)
    expect(wall('-A FORWARD -j A', '-A A -j B', '-A B -j A')).toBeUndefined()
  })
  test('is not what kube-proxy and Docker have', () => {
    expect(
      wall(
        '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        '-A FORWARD -j DOCKER-USER',
        '-A FORWARD -o docker0 -j DOCKER',
        '-A FORWARD -i docker0 ! -o docker0 -j ACCEPT',
        '-A DOCKER-USER -j RETURN',
        '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
      ),
    ).toBeUndefined()
    expect(
      wall(
        '-A FORWARD -j KUBE-POSTROUTING',
        '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
        '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
        '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
      ),
    ).toBeUndefined()
  })
})
