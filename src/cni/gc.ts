// GC: what attachments left behind that the runtime doesn't know any more, because their DEL never came (CNI spec 1.1).
import { ValidAttachments, VALID_ATTACHMENTS } from './attachments.ts'
import type { Call } from './call.ts'
import { findDelegate } from './delegate.ts'
import { delegateConfig } from './delegate-config.ts'
import { CniError } from './error.ts'
import { parseObject, type JsonObject } from './json.ts'
import { parseNetConf, type NetConf } from './net-conf.ts'
import { listStates, removeState, removeTorn, type Attachment } from './state.ts'
import { readSubnetEnv } from './subnet-env.ts'

/** Goes on where one of them can't be undone, and throws the first error at the end. */
export async function collectGarbage(call: Call): Promise<string> {
  const conf = parseNetConf(call.config)
  const valid = ValidAttachments.parse(call.config)
  const failures: unknown[] = []
  const attempt = async (act: () => Promise<void>) => {
    try {
      await act()
    } catch (error) {
      failures.push(error)
    }
  }
  for (const { file, attachments, text } of listStates(conf.dataDir)) {
    const config = parseObject(text)
    // A data directory serves several networks; what can't be read may be of another one.
    if (config === undefined || config['name'] !== conf.name || valid.names(file)) continue
    await attempt(async () => {
      for (const attachment of attachments) await undo(call, attachment, config)
    })
  }
  removeTorn(conf.dataDir)
  await attempt(() => collectAddresses(conf, valid))
  await attempt(() => collectOfDelegate(call, conf, valid))
  if (failures.length > 0) throw failures[0]
  return ''
}

/** As a DEL whose pod is gone. */
async function undo(call: Call, attachment: Attachment, config: JsonObject): Promise<void> {
  const { containerId, ifname } = attachment
  await findDelegate({ ...call, containerId, ifname, netns: '' }, config).remove()
  removeState(attachment)
}

/** Addresses whose state is lost: those of the built-in IPAM, and of the stock one, name their owner. */
async function collectAddresses(conf: NetConf, valid: ValidAttachments): Promise<void> {
  const ipam = { type: 'host-local', ...conf.ipam }
  if (ipam.type !== 'host-local') return
  const { takeBackFrom } = await import('./ipam/host-local.ts')
  takeBackFrom({ name: conf.name, ipam }, (owner) => !valid.has(owner.containerId, owner.ifname))
}

/** Delegates of other makers may know more. Without subnet.env there is no config to ask them with. */
async function collectOfDelegate(call: Call, conf: NetConf, valid: ValidAttachments): Promise<void> {
  let config: JsonObject
  try {
    config = delegateConfig(conf, readSubnetEnv(conf.subnetFile))
  } catch (error) {
    if (error instanceof CniError) return
    throw error
  }
  await findDelegate(call, config).collectGarbage({ ...config, [VALID_ATTACHMENTS]: valid.json })
}
