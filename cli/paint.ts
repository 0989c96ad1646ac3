// Colour, only for a terminal that wants it. Widths are measured on text without colour: paint last.

const CODES = { red: 31, green: 32, yellow: 33, blue: 34, cyan: 36, grey: 90, bold: 1 } as const;

export type Colour = keyof typeof CODES;

/** Returns the text as it is when `colour` is false. */
export type Pen = (colour: Colour, text: string) => string;

export function paint(colour: boolean): Pen {
  return (name, text) => (colour && text !== '' ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text);
}

/** NO_COLOR (any value but '') and TERM=dumb turn it off, FORCE_COLOR on (https://no-color.org). */
export function wantsColour(
  stream: { readonly isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return true;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}
