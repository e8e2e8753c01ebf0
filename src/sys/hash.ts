// A quick fingerprint of bytes in memory: equal bytes have equal ones, others differ but by chance in 2^64. No defence
// against whoever chooses the bytes.

export const hash64 = (bytes: Uint8Array): bigint => Bun.hash.xxHash3(bytes)
