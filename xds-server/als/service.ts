// The access log service: Envoys send a sample of what their outbound requests came to, and how long each took is
// added to what is known of its side (LRS alone has no percentiles). Bounded: entries beyond what is read in a
// second are stepped over, and nothing is kept of an entry but a count in a histogram.
import { encode } from '../../proto/codec.ts';
import type { Clock } from '../../lib/clock.ts';
import { latencyBucket } from '../../model/latency.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Groups } from '../groups.ts';
import type { LoadStore } from '../load/store.ts';
import { readNode } from '../node.ts';
import type { Caller } from '../security/caller.ts';
import type { SideCall, SideHandler, SideService } from '../services/side-calls.ts';
import type { View } from '../view.ts';
import { PlaceBook } from './places.ts';
import { ACCESS_LOG_INVALID, readAccessLog } from './read.ts';
import type { Entry } from './read.ts';

export interface AccessLogOptions {
  readonly store: LoadStore;
  readonly groups: Groups;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Of how many requests a hundred entries tell, ÷ 100: 10 for a sample of 10 %. */
  readonly weight: number;
}

/** Of all clients together: a tenth of a core. */
const MAX_PER_SECOND = 20_000;

interface Timed {
  readonly cluster: string;
  readonly locality: NonNullable<ReturnType<PlaceBook['find']>>;
  readonly counts: Map<number, number>;
  samples: number;
}

export class AccessLogService implements SideService {
  readonly stream = 'StreamAccessLogs';
  readonly #o: AccessLogOptions;
  readonly #places: PlaceBook;
  #second = 0;
  #readInSecond = 0;

  constructor(options: AccessLogOptions) {
    this.#o = options;
    this.#places = new PlaceBook(options.clock);
  }

  handle(call: SideCall): SideHandler {
    let client: { readonly node: string; readonly view: View; readonly leave: () => void } | undefined;
    return {
      receive: (bytes) => {
        const entries: Entry[] = [];
        const { node, skipped } = readAccessLog(
          bytes,
          (entry) => entries.push({ ...entry }),
          () => this.#mayRead(),
        );
        if (skipped > 0) this.#o.metrics.load.entries.inc({ outcome: 'skipped' }, skipped);
        client ??= this.#join(node, call.caller);
        this.#take(client, entries);
      },
      finish: () => call.send(encode('envoy.service.accesslog.v3.StreamAccessLogsResponse', {})),
      over: () => client?.leave(),
    };
  }

  #join(bytes: Uint8Array | undefined, caller: Caller) {
    if (!bytes) throw ACCESS_LOG_INVALID('the first message says nothing of its node');
    const node = readNode(bytes);
    caller.claim(node);
    return { node: node.id, ...this.#o.groups.join(node.group) };
  }

  #mayRead(): boolean {
    const second = Math.floor(this.#o.clock.monotonic() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#readInSecond = 0;
    }
    this.#readInSecond += 1;
    return this.#readInSecond <= MAX_PER_SECOND;
  }

  #take({ node, view }: { readonly node: string; readonly view: View }, entries: readonly Entry[]): void {
    const { store, metrics, weight } = this.#o;
    const all = new Map<string, Timed>();
    let unused = 0;
    for (const entry of entries) {
      const us = microsOf(entry);
      const locality =
        us === undefined
          ? undefined
          : this.#places.find(view.get('eds', entry.cluster), entry.address, entry.port);
      if (us === undefined || !locality) {
        unused += 1;
        continue;
      }
      const key = [entry.cluster, locality.region, locality.zone, locality.subZone].join('\0');
      const timed = all.get(key) ?? { cluster: entry.cluster, locality, counts: new Map(), samples: 0 };
      all.set(key, timed);
      const bucket = latencyBucket(us);
      timed.counts.set(bucket, (timed.counts.get(bucket) ?? 0) + weight);
      timed.samples += 1;
    }
    if (unused > 0) metrics.load.entries.inc({ outcome: 'unused' }, unused);
    if (entries.length > unused) metrics.load.entries.inc({ outcome: 'used' }, entries.length - unused);
    for (const { cluster, locality, ...times } of all.values()) {
      store.add(node, { cluster, locality, ...NO_COUNTS, intervalMs: 0, times });
    }
  }
}

const NO_COUNTS = { successes: 0, errors: 0, issued: 0, dropped: 0 };

/** From the first byte sent upstream to the first byte back, or to when somebody gave up; undefined: not to be told. */
function microsOf({ address, sentUs, heardUs, endUs, gaveUp, isPart }: Entry): number | undefined {
  if (isPart || address === '' || sentUs < 0) return undefined;
  const end = heardUs >= 0 ? heardUs : gaveUp ? endUs : -1;
  return end >= sentUs ? end - sentUs : undefined;
}
