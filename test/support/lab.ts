// A lab made by the compiled executable, for one test: `await using lab = new Lab()`. It is taken down at the end, and
// can tell what of it is left.
import { spawn, spawnSync } from 'node:child_process'
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DownFacts } from '../../src/lab/down.ts'
import type { LabFacts, LabReport } from '../../src/lab/facts.ts'
import { boundNamespaces } from '../../src/lab/mounts.ts'
import { LabDirectory } from '../../src/lab/directory.ts'
import { HEDDLE } from './executable.ts'

/** nobody and nogroup, as everywhere. */
const NOBODY = 65534
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
const COMMAND_MS = 60_000

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class Lab implements AsyncDisposable {
  readonly #folder: string
  readonly #executable: string
  readonly #user: boolean
  readonly directory: string
  /** Of the last lab that was seen up, for `remains`. */
  #id: string | undefined
  #namespaces: ReadonlySet<string> = new Set()

  constructor({ user = false }: { user?: boolean } = {}) {
    this.#user = user && process.geteuid?.() === 0
    this.#folder = mkdtempSync(join(tmpdir(), 'heddle-lab-test-'))
    this.directory = join(this.#folder, 'lab')
    this.#executable = this.#user ? copyFor(NOBODY, this.#folder) : HEDDLE
  }

  /** A command and its arguments, as the lab's user starts it. */
  #command(words: readonly string[], dir: boolean): [string, string[]] {
    const [verb = '', ...rest] = words
    const args = ['lab', verb, ...(dir ? ['--dir', this.directory] : []), ...rest]
    return this.#user
      ? ['setpriv', [...AS_NOBODY.slice(1), this.#executable, ...args]]
      : [this.#executable, args]
  }

  /** `heddle lab WORDS` on this lab. */
  run(...words: string[]): Outcome {
    return this.within([], ...words)
  }

  /** The same by another command in front, such as `unshare --mount`. */
  within(wrapper: readonly string[], ...words: string[]): Outcome {
    const [file, args] = this.#command(words, true)
    const [first = '', ...rest] = [...wrapper, file, ...args]
    const done = spawnSync(first, rest, { encoding: 'utf8', timeout: COMMAND_MS, cwd: this.#folder })
    this.#look()
    return done
  }

  /** A shell script with the executable as $0 and the directory as $1, as root of a user namespace of this user's. */
  inUserNamespace(flags: string, script: string): Outcome {
    const words = ['unshare', flags, 'sh', '-c', script, this.#executable, this.directory]
    const [file = '', ...args] = this.#user ? [...AS_NOBODY, ...words] : words
    return spawnSync(file, args, { encoding: 'utf8', timeout: COMMAND_MS, cwd: this.#folder })
  }

  /** A PATH in which these scripts come before the tools of their names. */
  toolsInFront(scripts: Readonly<Record<string, string>>): string {
    const directory = join(this.#folder, 'tools')
    mkdirSync(directory)
    for (const [name, script] of Object.entries(scripts))
      writeFileSync(join(directory, name), script, { mode: 0o755 })
    return `${directory}:${process.env['PATH'] ?? ''}`
  }

  // The facts of commands that must succeed.
  up(...words: string[]): LabReport {
    return this.#facts('up', words) as LabReport
  }
  check(): LabReport {
    return this.#facts('check') as LabReport
  }
  status(): LabFacts {
    return this.#facts('status') as LabFacts
  }
  logs(): Readonly<Record<string, readonly string[]>> {
    return this.#facts('logs') as Readonly<Record<string, readonly string[]>>
  }
  down(): DownFacts {
    return this.#facts('down') as DownFacts
  }

  #facts(verb: string, words: readonly string[] = []): unknown {
    const { status, stdout, stderr } = this.run(verb, '--json', ...words)
    if (status !== 0) throw new Error(`heddle lab ${verb} ended with ${status}: ${stdout}${stderr}`)
    return JSON.parse(stdout)
  }

  /** Of a process of the lab, by its name. */
  pid(name: string): number {
    return new LabDirectory(this.directory).process(name)?.pid ?? -1
  }

  /** Puts a new build of the executable in its place, as `npm run build` does. */
  rebuild(): void {
    copyFileSync(this.#executable, `${this.#executable}.building`)
    renameSync(`${this.#executable}.building`, this.#executable)
  }

  /** Starts `up` and sends it a signal as soon as `file` of the lab is there; its exit code. */
  async interrupt(file: string, signal: NodeJS.Signals, ...words: string[]): Promise<number | null> {
    const [command, args] = this.#command(['up', ...words], true)
    const child = spawn(command, args, { stdio: 'ignore', cwd: this.#folder })
    const ended = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)))
    const deadline = Date.now() + COMMAND_MS
    while (!existsSync(join(this.directory, file))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`\`up\` never came to write ${file}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    this.#look()
    child.kill(signal)
    return ended
  }

  #look(): void {
    const id = new LabDirectory(this.directory).record()?.id
    if (id === undefined) return
    this.#id = id
    this.#namespaces = new Set(boundNamespaces(this.directory).map((bound) => bound.namespace))
  }

  /** Whatever is left of the lab: nothing, after `down`. */
  remains(): readonly string[] {
    return [
      ...processesOf(this.#id ?? '', this.#namespaces).map((pid) => `process ${pid}`),
      ...boundNamespaces(this.directory).map(({ path }) => `namespace ${path}`),
      ...(existsSync(this.directory)
        ? ['', ...readdirSync(this.directory)].map((name) => `file ${name}`)
        : []),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.run('down')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A place where another user may start the executable, and make a lab. */
function copyFor(user: number, folder: string): string {
  chownSync(folder, user, user)
  const executable = join(folder, 'heddle')
  copyFileSync(HEDDLE, executable)
  for (const name of ['flanneld', 'flannel']) symlinkSync('heddle', join(folder, name))
  return executable
}

/** By what the kernel says of each process, and not by the code under test. */
function processesOf(id: string, namespaces: ReadonlySet<string>): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return (
        namespaces.has(readlinkSync(`/proc/${pid}/ns/net`)) ||
        readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`HEDDLE_LAB=${id}\0`)
      )
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      // Gone since, or a kernel thread.
      if (['ENOENT', 'ESRCH', 'EACCES', 'EINVAL'].includes(code)) return false
      throw error
    }
  })
}
