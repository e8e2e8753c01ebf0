// heddle's own options, and those of glog that unit files made for old flannels give.
import { between } from './checks.ts'
import type { Option } from './option.ts'

export const DEFAULT_CONFIG_FILE = '/etc/flannel/flanneld.conf'

const ON_STDERR = 'the log is always on stderr, and in files with --log-dir'
const WEEK_SECONDS = 7 * 24 * 3600

export const OWN = [
  {
    name: 'config-file',
    type: 'string',
    default: DEFAULT_CONFIG_FILE,
    section: 'general',
    help: 'file with options; the default one need not exist; empty: none',
    own: true,
    only: 'flag or environment',
  },
  {
    name: 'store-reset-grace',
    type: 'duration',
    default: 600,
    section: 'etcd',
    help: 'how long peers of a store that was wiped or replaced are kept (at most 168h)',
    own: true,
    check: between(0, WEEK_SECONDS),
  },
  {
    name: 'state-dir',
    type: 'string',
    default: '/var/lib/heddle',
    section: 'host',
    help: "directory that keeps which lease is this host's, so that it has its subnet again at another address",
    own: true,
  },
  {
    name: 'store-lost-grace',
    type: 'duration',
    default: 120,
    section: 'status',
    help: 'how long the leases in the store may be lost before /readyz tells that flanneld is not ready (at most 168h)',
    own: true,
    check: between(1, WEEK_SECONDS),
  },
  {
    name: 'status-socket',
    type: 'string',
    default: '/run/heddle/flanneld.sock',
    section: 'status',
    help: 'UNIX socket that tells health, metrics and status; empty: none',
    own: true,
  },
  {
    name: 'log-dir',
    type: 'string',
    default: '',
    section: 'log',
    help: 'directory for log files beside stderr; empty: none',
    own: true,
    aliases: ['log_dir'],
  },
  {
    name: 'log-format',
    type: 'string',
    default: 'text',
    section: 'log',
    help: "text (klog's) or json",
    own: true,
    form: { pattern: /^(?:text|json)$/, want: 'text or json' },
  },
  {
    name: 'logtostderr',
    type: 'bool',
    default: true,
    section: 'log',
    help: 'log to stderr and not to files',
    own: true,
    without: ON_STDERR,
  },
  {
    name: 'alsologtostderr',
    type: 'bool',
    default: false,
    section: 'log',
    help: 'log to stderr and to files',
    own: true,
    without: ON_STDERR,
  },
  {
    name: 'stderrthreshold',
    type: 'string',
    default: 'INFO',
    section: 'log',
    help: 'least severity that goes to stderr, where the log goes to files',
    own: true,
    form: {
      pattern: /^(?:INFO|WARNING|ERROR|FATAL|[+-]?\d+)$/i,
      want: 'INFO, WARNING, ERROR, FATAL or a number',
    },
    without: ON_STDERR,
  },
] as const satisfies readonly Option[]
