// `heddle store` from its sources: what tests start when they need no compiled executable.
import { storeMain } from '../../src/store/embedded/main.ts'

process.exit(await storeMain(process.argv.slice(2)))
