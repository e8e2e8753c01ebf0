// The end of a long-lived process's start: what only the start was built for goes.
import { releaseStartupMemory } from './memory.ts'

/**
 * To be called once the process is at its work. The executable starts with a JIT that waits longer before it compiles
 * (`--compile-jit-policy` in scripts/build.ts): code that runs once doesn't repay it, what runs for days does.
 */
export function endStart(): void {
  Bun.unsafe.setJITPolicy(1)
  releaseStartupMemory()
}
