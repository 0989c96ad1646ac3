// The proxy's statistics as one list, each with Envoy's name in its two forms: dotted (`/stats`) and with labels
// (`/stats/prometheus`). What Envoy does not have is marked as ours.
import type { Histogram } from '../histogram.ts';

export type Scope = 'cluster' | 'http' | 'tcp' | 'listener' | '';

/** Envoy's label for the name inside a scope. */
const LABEL: Readonly<Record<Scope, string>> = {
  cluster: 'envoy_cluster_name',
  http: 'envoy_http_conn_manager_prefix',
  tcp: 'envoy_tcp_prefix',
  listener: 'envoy_listener_address',
  '': '',
};

export interface Stat {
  readonly scope: Scope;
  /** Of the cluster, the connection manager …; '' in no scope. */
  readonly of: string;
  /** Dotted. */
  readonly name: string;
  readonly own: boolean;
  readonly gauge: boolean;
  value: number;
}

export interface TimedStat {
  readonly scope: Scope;
  readonly of: string;
  readonly name: string;
  readonly times: Histogram;
}

const GAUGE =
  /(_active|_open|connected_state|membership_\w+|remaining_\w+|\.healthy|resources|\.live|\.uptime|\.state|active_clusters|\.p\d+|gradient_controller\.(burst_queue_size|concurrency_limit|gradient|\w+_rtt_msecs))$/;

export const dotted = ({ scope, of, name }: Pick<Stat, 'scope' | 'of' | 'name'>): string =>
  scope === '' ? name : `${scope}.${of}.${name}`;

export class StatSet {
  readonly #stats = new Map<string, Stat>();
  readonly timed: TimedStat[] = [];

  /** What has the same name is one: two listeners may share a prefix. */
  add(scope: Scope, of: string, name: string, value: number, own = false): void {
    const stat: Stat = { scope, of, name, own, gauge: GAUGE.test(`.${name}`), value };
    const key = dotted(stat);
    const known = this.#stats.get(key);
    if (known) known.value += value;
    else this.#stats.set(key, stat);
  }

  get all(): Iterable<readonly [name: string, stat: Stat]> {
    return this.#stats;
  }
}

/** Upper bounds, in ms: Envoy's. */
const BOUNDS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
  1_800_000, 3_600_000,
];

/** Prometheus's text format, families in order. */
export function prometheusText(stats: Iterable<Stat>, timed: readonly TimedStat[]): string {
  const families = new Map<string, { readonly type: string; readonly lines: string[] }>();
  const family = (name: string, type: string) => {
    const known = families.get(name) ?? { type, lines: [] };
    families.set(name, known);
    return known.lines;
  };
  for (const stat of stats) {
    const { name, labels } = named(stat);
    family(name, stat.gauge ? 'gauge' : 'counter').push(`${name}{${labels.join(',')}} ${stat.value}`);
  }
  for (const { times, ...stat } of timed) {
    const { name, labels } = named({ ...stat, own: false });
    const lines = family(name, 'histogram');
    const bucket = (le: string, count: number) =>
      lines.push(`${name}_bucket{${[...labels, `le="${le}"`].join(',')}} ${count}`);
    for (const bound of BOUNDS) bucket(String(bound), times.atMost(bound));
    bucket('+Inf', times.total);
    lines.push(
      `${name}_sum{${labels.join(',')}} ${times.sum}`,
      `${name}_count{${labels.join(',')}} ${times.total}`,
    );
  }
  return [...families]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { type, lines }]) => `# TYPE ${name} ${type}\n${lines.join('\n')}\n`)
    .join('');
}

function named({ scope, of, name, own }: Omit<Stat, 'gauge' | 'value'>): { name: string; labels: string[] } {
  const labels: string[] = [];
  let short = name;
  const byClass = /^(.*_rq)_(\d)xx$/.exec(name);
  const byCode = /^(.*_rq)_(\d{3})$/.exec(name);
  if (byClass) {
    short = `${byClass[1] ?? ''}_xx`;
    labels.push(`envoy_response_code_class="${byClass[2] ?? ''}"`);
  } else if (byCode) {
    short = byCode[1] ?? '';
    labels.push(`envoy_response_code="${byCode[2] ?? ''}"`);
  }
  if (scope !== '') labels.push(`${LABEL[scope]}="${of.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`);
  const front = own ? 'isthmus_proxy_' : 'envoy_';
  const path = scope === '' ? short : `${scope}_${short}`;
  return { name: front + path.replace(/[^a-zA-Z0-9_]/g, '_'), labels };
}
