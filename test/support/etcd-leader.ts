// Who leads a cluster, by what each of its members says.
import type { EtcdMember } from './etcd-member.ts'
import type { TestHost } from './kernel.ts'

interface EndpointStatus {
  readonly Status: { readonly header: { readonly member_id: number }; readonly leader: number }
}

/** The one that all of these take for the leader; undefined while they don't agree. `flagsFor` says how etcdctl gets to one. */
export async function leaderOf(
  members: readonly EtcdMember[],
  console: TestHost,
  flagsFor: (member: EtcdMember) => readonly string[],
): Promise<EtcdMember | undefined> {
  const told = await Promise.all(
    members.map(async (member) => {
      const flags = flagsFor(member).join(' ')
      const out = await console
        .sh(`ETCDCTL_API=3 etcdctl ${flags} --command-timeout=2s endpoint status --write-out=json`)
        .catch(() => '[]')
      const [status] = JSON.parse(out) as EndpointStatus[]
      // Ids are greater than a double holds exactly, and yet no two round to one.
      return { member, id: status?.Status.header.member_id, leader: status?.Status.leader }
    }),
  )
  const leads = told.find(({ id, leader }) => id !== undefined && id === leader)
  return leads !== undefined && told.every(({ leader }) => leader === leads.id) ? leads.member : undefined
}
