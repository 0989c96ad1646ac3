// The pages of several workers as one. Pure: texts in, a text out.

/** What every worker sees alike: the largest counts. All else is summed. Names of services stand in the middle. */
const ALIKE =
  /[._]membership_\w+$|connected_state$|[._]resources$|_open$|[._]remaining_\w+$|[._]p\d+$|[._]gradient_controller[._](gradient|\w+_rtt_msecs)$|::(weight|priority)$|_priority::max_\w+$|^(isthmus_proxy_)?xds[._]|^(envoy_)?server[._]|active_clusters$/;
const LABELS = /\{.*\}$/;
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
      else
        values.set(
          key,
          ALIKE.test(name.replace(/:$/, '').replace(LABELS, '')) ? Math.max(before, value) : before + value,
        );
    }
  }
  return [...values].map(([key, value]) => `${key}${value ?? ''}\n`).join('');
}
