// Numbers with their nouns, as people say them.

/** `1 host`, `3 hosts`, `2 processes`. */
export const count = (number: number, noun: string): string =>
  `${number} ${number === 1 ? noun : noun.endsWith('s') ? `${noun}es` : `${noun}s`}`
