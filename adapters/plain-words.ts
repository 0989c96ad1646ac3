// What TLS libraries say when a connection fails, in words for people: their own have addresses of memory and
// lines of C in them. Everything else stays as it was said.

const OPENSSL =
  /(?:write EPROTO )?[0-9A-F]{8,}:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):[^:]*:\d+:(?:SSL alert number \d+)?\s*/g;

const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/wrong version number|packet length too long/, 'the server does not speak TLS there'],
  [/certificate required/, 'the server wants a client certificate'],
  [/unknown ca/, 'the server does not know the authority of our certificate'],
];

export function plainWords(text: string): string {
  return text
    .replace(OPENSSL, (_, reason: string) => {
      const meaning = MEANINGS.find(([pattern]) => pattern.test(reason))?.[1];
      return meaning === undefined ? `TLS: ${reason} ` : `${meaning} (TLS: ${reason}) `;
    })
    .trim();
}

/** The same error where it was plain already; its code stays in any case. */
export function plainError(error: Error): Error {
  const words = plainWords(error.message);
  if (words === error.message.trim()) return error;
  return Object.assign(new Error(words), 'code' in error ? { code: error.code } : {});
}
