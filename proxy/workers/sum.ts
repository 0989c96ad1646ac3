// The pages of several workers as one. Pure: texts in, a text out.

/** What every worker sees alike: the largest counts. All else is summed. */
const ALIKE =
  /membership_|connected_state|\.resources|_open$|remaining_|\.p\d+$|quantile=|::(weight|priority)$|_priority::max_|xds\.|server[._]|active_clusters/;
/** The value is what stands behind the last mark. */
const LINE = /^(.*)(: |::| )([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)$/i;

/** Lines `name: value`, `a::b::value` or `name{labels} value`; other lines stand once, where they first came. */
export function sumPages(pages: readonly string[]): string {
  const values = new Map<string, number | undefined>();
  for (const page of pages) {
    for (const line of page.split('\n')) {
      if (line === '') continue;
      const [, name, mark = '', number] = LINE.exec(line) ?? [];
      if (name === undefined || line.startsWith('#')) {
        if (!values.has(line)) values.set(line, undefined);
        continue;
      }
      const key = name + mark;
      const before = values.get(key);
      const value = Number(number);
      if (before === undefined) values.set(key, value);
      else values.set(key, ALIKE.test(name.replace(/:$/, '')) ? Math.max(before, value) : before + value);
    }
  }
  return [...values].map(([key, value]) => `${key}${value ?? ''}\n`).join('');
}
