// %START_TIME(format)%: strftime's letters that Envoy's own users write, in UTC. %f and %1f … %9f are
// fractions of a second.

type Part = (date: Date) => string;

const two = (n: number): string => String(n).padStart(2, '0');
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);
const ymd = (d: Date): string => d.toISOString().slice(0, 10);
const hms = (d: Date): string => d.toISOString().slice(11, 19);
const nanos = (d: Date): string => `${String(d.getUTCMilliseconds()).padStart(3, '0')}000000`;

const LETTERS: Readonly<Record<string, Part>> = {
  Y: (d) => String(d.getUTCFullYear()),
  m: (d) => two(d.getUTCMonth() + 1),
  d: (d) => two(d.getUTCDate()),
  e: (d) => String(d.getUTCDate()).padStart(2, ' '),
  H: (d) => two(d.getUTCHours()),
  M: (d) => two(d.getUTCMinutes()),
  S: (d) => two(d.getUTCSeconds()),
  y: (d) => two(d.getUTCFullYear() % 100),
  a: (d) => (DAYS[d.getUTCDay()] ?? '').slice(0, 3),
  A: (d) => DAYS[d.getUTCDay()] ?? '',
  b: (d) => (MONTHS[d.getUTCMonth()] ?? '').slice(0, 3),
  B: (d) => MONTHS[d.getUTCMonth()] ?? '',
  s: (d) => String(Math.floor(d.getTime() / 1000)),
  f: nanos,
  F: ymd,
  T: hms,
  z: () => '+0000',
  Z: () => 'UTC',
  '%': () => '%',
};

/** @param format '' is Envoy's default, `2026-01-02T03:04:05.678Z`. @returns undefined when a letter is not known. */
export function dateFormat(format: string): ((ms: number) => string) | undefined {
  if (format === '') return (ms) => new Date(ms).toISOString();
  const parts: (string | Part)[] = [];
  const letters = /%([1-9])f|%(.?)/g;
  let from = 0;
  for (const match of format.matchAll(letters)) {
    const [whole, digits, letter = ''] = match;
    const part: Part | undefined =
      digits === undefined ? LETTERS[letter] : (d) => nanos(d).slice(0, Number(digits));
    if (!part) return undefined;
    parts.push(format.slice(from, match.index), part);
    from = match.index + whole.length;
  }
  parts.push(format.slice(from));
  return (ms) => {
    const date = new Date(ms);
    let out = '';
    for (const part of parts) out += typeof part === 'string' ? part : part(date);
    return out;
  };
}
