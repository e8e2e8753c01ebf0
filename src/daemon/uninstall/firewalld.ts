// firewalld at an uninstall: what flanneld has told it is taken back. One that doesn't run is never changed: what to
// type is named.
import { rmSync } from 'node:fs'
import { firewallCommand, FirewalldError, readFirewalld } from '../../firewall/firewalld/command.ts'
import { bindingText, commandsOf, planRemoval, type Binding } from '../../firewall/firewalld/plan.ts'
import { firewalldRecordPath, readFirewalldRecord } from '../walls/firewalld.ts'
import { item, type Part } from './item.ts'

export async function firewalldPart(stateDir: string): Promise<Part> {
  const path = firewalldRecordPath(stateDir)
  let made: readonly Binding[]
  try {
    made = readFirewalldRecord(stateDir)
  } catch (error) {
    return { items: [], left: [`file ${path}: no record of what firewalld was told: ${String(error)}`] }
  }
  if (made.length === 0) return { items: [], left: [] }
  try {
    const steps = planRemoval(await readFirewalld(), made)
    const what = `what firewalld was told: ${made.map(bindingText).join(', ')}`
    const takeBack = async () => {
      for (const args of commandsOf(steps)) await firewallCommand(args)
      rmSync(path, { force: true })
    }
    return { items: [item(what, takeBack)], left: [] }
  } catch (error) {
    if (!(error instanceof FirewalldError)) throw error
    return { items: [], left: made.map((binding) => leftText(binding, error.message)) }
  }
}

const leftText = (binding: Binding, why: string): string =>
  `firewalld's ${bindingText(binding)}: ${why} (firewall-offline-cmd --zone=${binding.zone} --remove-${binding.kind}=${binding.value})`
