// ADD and DEL of the flannel plugin (flannel-compat 7.5). Each returns what goes to stdout.
import { statSync } from 'node:fs'
import type { Call } from './call.ts'
import { findDelegate, type Delegate } from './delegate.ts'
import { delegateConfig } from './delegate-config.ts'
import { Code, CniError, messageOf } from './error.ts'
import { formatSorted, parseObject } from './json.ts'
import { parseNetConf, type NetConf } from './net-conf.ts'
import { ownState, readState, removeState, writeState, type Attachment } from './state.ts'
import { readSubnetEnv } from './subnet-env.ts'

export async function add(call: Call): Promise<string> {
  checkNetns(call)
  const conf = parseNetConf(call.config)
  const config = delegateConfig(conf, readSubnetEnv(conf.subnetFile))
  const delegate = findDelegate(call, config)
  const attachment = attachmentOf(call, conf)
  const before = ownState(attachment)
  writeState(attachment, formatSorted(config))
  try {
    return await delegate.add()
  } catch (error) {
    // An ADD that was refused because the pod has the interface already must not cost that one its state.
    if (before !== undefined) writeState(attachment, before)
    else await undo(delegate, attachment)
    throw error
  }
}

/** A delegate of another maker may have left half of its work; if it can't take it back now, DEL will ask it again. */
async function undo(delegate: Delegate, attachment: Attachment): Promise<void> {
  try {
    if (!delegate.tidy) await delegate.remove()
    removeState(attachment)
  } catch (error) {
    process.stderr.write(`flannel: after the failed ADD of ${attachment.containerId}: ${messageOf(error)}\n`)
  }
}

/** Needs no subnet.env. What is gone already is fine. State goes only when the delegate has succeeded. */
export async function del(call: Call): Promise<string> {
  checkNetns(call)
  const conf = parseNetConf(call.config)
  const attachment = attachmentOf(call, conf)
  const text = readState(attachment)
  const config = text === undefined ? undefined : parseObject(text)
  if (config !== undefined) await findDelegate(call, config).remove()
  else {
    if (text !== undefined)
      process.stderr.write(
        `flannel: the state of container ${call.containerId} can't be read; its address is given back all the same\n`,
      )
    await removeWithoutState(call, conf)
  }
  removeState(attachment)
  return ''
}

/** An address that the built-in IPAM may have given is found by its owner; more can't be known without state. */
async function removeWithoutState(call: Call, conf: NetConf): Promise<void> {
  const ipam = { type: 'host-local', ...conf.ipam }
  if ((conf.delegate['type'] ?? 'bridge') !== 'bridge' || ipam.type !== 'host-local') return
  const { takeBack } = await import('./ipam/host-local.ts')
  takeBack({ name: conf.name, ipam }, call)
}

const attachmentOf = ({ containerId, ifname }: Call, { dataDir }: NetConf): Attachment => ({
  dataDir,
  containerId,
  ifname,
})

/** A pod's namespace that is our own would give the pod's interface to the host. */
function checkNetns({ netns, anyNetns }: Call): void {
  if (netns === '' || anyNetns) return
  const theirs = statSync(netns, { throwIfNoEntry: false })
  const ours = statSync('/proc/self/ns/net')
  if (theirs !== undefined && theirs.dev === ours.dev && theirs.ino === ours.ino)
    throw new CniError(
      Code.badNamespace,
      "plugin's netns and netns from CNI_NETNS should not be the same",
      'set CNI_NETNS_OVERRIDE=1 if that is meant',
    )
}
