// Patterns as people write them in shells: `*` stands for any text, `?` for one character, all else for
// itself. The one meaning of patterns in source configs: services and file names.

/** An expression for the whole text. */
export function wildcard(pattern: string, options: { readonly ignoreCase?: boolean } = {}): RegExp {
  const source = pattern.replace(/[\\^$.|+()[\]{}*?]/g, (char) => {
    if (char === '*') return '.*';
    return char === '?' ? '.' : `\\${char}`;
  });
  return new RegExp(`^${source}$`, options.ignoreCase ? 'is' : 's');
}
