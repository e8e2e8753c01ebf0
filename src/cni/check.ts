// CHECK: whether a pod's interface is still as ADD left it (CNI spec 1.1).
import type { Call } from './call.ts'
import { findDelegate } from './delegate.ts'
import { Code, CniError } from './error.ts'
import { field, isObject, parseObject } from './json.ts'
import { parseNetConf } from './net-conf.ts'
import { readState } from './state.ts'

export async function check(call: Call): Promise<string> {
  const { dataDir } = parseNetConf(call.config)
  const { containerId, ifname } = call
  const previous = field(call.config, 'prevResult')
  if (!isObject(previous)) throw new CniError(Code.badConfig, 'required prevResult missing')
  const text = readState({ dataDir, containerId, ifname })
  if (text === undefined)
    throw new CniError(
      Code.unknownContainer,
      `no ${ifname} of container ${containerId} is known`,
      `${dataDir} has no state of it: its ADD was not by this plugin, or its DEL has been`,
    )
  const config = parseObject(text)
  if (config === undefined)
    throw new CniError(Code.decode, `the state of container ${containerId} in ${dataDir} can't be read`)
  await findDelegate(call, config).check(previous)
  return ''
}
