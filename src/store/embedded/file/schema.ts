// The layout of the store's SQLite file, and the header bytes by which a file is known to be one.

/** 'hedl', at offset 68 of the file (sqlite.org/fileformat2.html 1.3.17). */
export const APPLICATION_ID = 0x6865646c
/** Raised with every change of the layout; at offset 60 of the file. */
export const SCHEMA_VERSION = 2

// history: every change of every key, in order; version 0 is a deletion (etcd's tombstone).
// current: the newest row of each key that exists.
// lease:   granted leases; what remains of a lease's time isn't kept, a restart begins it anew.
// meta:    identity, progress of compaction, whether users are enabled.
const KEYS = `
CREATE TABLE history (
  id INTEGER PRIMARY KEY,
  revision INTEGER NOT NULL,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  create_revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lease INTEGER NOT NULL
) STRICT;
CREATE INDEX history_by_revision ON history (revision);
CREATE INDEX history_by_key ON history (key, revision);

CREATE TABLE current (
  key BLOB PRIMARY KEY,
  id INTEGER NOT NULL,
  lease INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX current_by_lease ON current (lease, key) WHERE lease <> 0;

CREATE TABLE lease (
  id INTEGER PRIMARY KEY,
  ttl_seconds INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

// user:       password is a hash; NULL for those who come with a certificate alone.
// permission: type is authpb.Permission.Type; ranges as in requests.
const USERS = `
CREATE TABLE user (
  name TEXT PRIMARY KEY,
  password TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE user_role (
  user TEXT NOT NULL,
  role TEXT NOT NULL,
  PRIMARY KEY (user, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE role (
  name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE permission (
  role TEXT NOT NULL,
  key BLOB NOT NULL,
  range_end BLOB NOT NULL,
  type INTEGER NOT NULL,
  PRIMARY KEY (role, key, range_end)
) STRICT, WITHOUT ROWID;
`

export const SCHEMA = KEYS + USERS
/** What leads from a layout to the next one: the first of them from 1 to 2. */
export const UPGRADES: readonly string[] = [USERS]

export interface FileHeader {
  readonly isSqlite: boolean
  readonly applicationId: number
  readonly schemaVersion: number
}

export const FILE_HEADER_BYTES = 100

/** Reads the first 100 bytes of a SQLite file; anything shorter isn't one. */
export function parseFileHeader(bytes: Uint8Array): FileHeader {
  if (bytes.byteLength < FILE_HEADER_BYTES) return { isSqlite: false, applicationId: 0, schemaVersion: 0 }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    isSqlite: Buffer.from(bytes.subarray(0, 16)).toString('latin1') === 'SQLite format 3\0',
    schemaVersion: view.getUint32(60),
    applicationId: view.getUint32(68),
  }
}
