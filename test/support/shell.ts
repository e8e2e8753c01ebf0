// A shell that stays in a namespace and runs one script after the other: no start of a process each time.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import type { Namespace } from '../../src/sys/namespace.ts'

/** Ends a script's output, with its exit status. */
const END = /<end of script: (\d+)>\n/

export class Shell implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #ended: Promise<unknown>
  #last: Promise<unknown> = Promise.resolve()
  #output = ''
  #tell: () => void = () => undefined
  #over = false

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    this.#ended = new Promise((resolve) => child.once('close', resolve)).then(() => {
      this.#over = true
      this.#tell()
    })
    child.stdout.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString()
      this.#tell()
    })
    // What is written to a shell that has just been killed is lost; `run` says so.
    child.stdin.on('error', () => undefined)
  }

  /** Dies with this process, however that ends. */
  static open(namespace: Namespace): Shell {
    const words = ['--pdeathsig', 'KILL', 'nsenter', `--net=${namespace.path}`, 'sh']
    return new Shell(spawn('setpriv', words, { stdio: 'pipe' }))
  }

  /** What the script printed, errors among it. Throws with that unless it and each of its commands went well. */
  run(script: string): Promise<string> {
    const done = this.#last.then(() => this.#run(script))
    this.#last = done.catch(() => undefined)
    return done
  }

  async #run(script: string): Promise<string> {
    this.#output = ''
    this.#child.stdin.write(`( set -e\n${script}\n) 2>&1 </dev/null; echo "<end of script: $?>"\n`)
    let end: RegExpExecArray | null
    while ((end = END.exec(this.#output)) === null) {
      if (this.#over) throw new Error(`the shell ended in the middle of \`${script}\``)
      await new Promise<void>((resolve) => (this.#tell = resolve))
    }
    const output = this.#output.slice(0, end.index)
    if (end[1] !== '0') throw new Error(`\`${script}\` ended with ${end[1]}: ${output.trim()}`)
    return output
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL')
    await this.#ended
  }
}
