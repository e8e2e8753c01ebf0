// Whole nf_tables tables. Comments are for people and never compared.
import type { NftChain, NftMatch, NftRule, NftTable } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const nftTableKind: Kind<NftTable> = {
  name: 'nft-table',
  after: [],
  key: (t) => `${t.family} ${t.name}`,
  on: () => undefined,
  same: (want, have) =>
    have.unrecognised === undefined &&
    want.chains.length === have.chains.length &&
    // Chains have no order, only names.
    want.chains.every((chain) => {
      const other = have.chains.find((candidate) => candidate.name === chain.name)
      return other !== undefined && isSameChain(chain, other)
    }),
  ours: (have, scope) => (scope.tables.has(nftTableKind.key(have)) ? 'ours' : 'foreign'),
  adopts: () => false,
  disturbs: () => [],
}

const isSameList = <T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean =>
  a.length === b.length &&
  a.every((item, index) => {
    const other = b[index]
    return other !== undefined && same(item, other)
  })

const isSameChain = (a: NftChain, b: NftChain): boolean =>
  a.hook.type === b.hook.type &&
  a.hook.at === b.hook.at &&
  a.hook.priority === b.hook.priority &&
  isSameList(a.rules, b.rules, isSameRule) &&
  (a.clamps ?? []).join() === (b.clamps ?? []).join()

function isSameRule(a: NftRule, b: NftRule): boolean {
  if (!isSameList(a.matches, b.matches, isSameMatch)) return false
  if (a.verdict.verdict === 'masquerade')
    return b.verdict.verdict === 'masquerade' && a.verdict.fullyRandom === b.verdict.fullyRandom
  return a.verdict.verdict === b.verdict.verdict
}

function isSameMatch(a: NftMatch, b: NftMatch): boolean {
  if (a.match === 'mark') return b.match === 'mark' && a.value === b.value && a.mask === b.mask
  return b.match !== 'mark' && a.match === b.match && a.not === b.not && a.prefix === b.prefix
}
