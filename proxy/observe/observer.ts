// What a listener does with the records of its requests: writes them to its logs, makes spans of them. Made when
// xDS changes; a listener that neither logs nor traces has none.
import type { Clock } from '../../lib/clock.ts';
import type { SpanExporters } from './exporters.ts';
import type { AccessLogs } from './logs.ts';
import { LogView } from './record.ts';
import type { StreamRecord } from './record.ts';
import type { AccessLogRule } from './rules.ts';
import { noTraces, spanOf } from './tracer.ts';
import type { SpanMaker, TraceCounts, TracingRules } from './tracer.ts';

/** What the listeners of one data plane share. */
export interface ObserveEnv {
  readonly clock: Clock;
  readonly logs: AccessLogs;
  /** Logs of every listener, beside those that xDS names. */
  readonly everywhere: readonly AccessLogRule[];
  readonly exporters: SpanExporters;
  /** Of HTTP listeners whose connection manager says nothing of traces. */
  readonly tracing: TracingRules | undefined;
  readonly node: string;
  readonly zone: string;
}

/** Of one listener. */
export interface Observed {
  readonly rules?: readonly AccessLogRule[] | undefined;
  readonly tracing?: TracingRules | undefined;
  /** Where decisions are counted, beyond the life of an observer. */
  readonly traced?: TraceCounts;
  readonly outbound?: boolean;
}

type Bound = Required<Observed> & { readonly rules: readonly AccessLogRule[] };

/** Formatting is synchronous, so one is enough. */
const VIEW = new LogView();

export class Observer {
  readonly #env: ObserveEnv;
  readonly #rules: readonly AccessLogRule[];
  readonly #maker: SpanMaker;
  /** Absent: nothing is traced. */
  readonly tracing: TracingRules | undefined;
  readonly traced: TraceCounts;

  constructor(env: ObserveEnv, { rules, tracing, traced, outbound }: Bound) {
    this.#env = env;
    this.#rules = rules;
    this.tracing = tracing;
    this.traced = traced;
    this.#maker = { node: env.node, zone: env.zone, outbound };
  }

  begin(record: StreamRecord): void {
    record.begin(this.#env.clock.now(), this.now());
  }

  /** Monotonic ms. */
  now(): number {
    return this.#env.clock.monotonic();
  }

  end(record: StreamRecord): void {
    record.endAt = this.now();
    VIEW.read(record);
    for (const rule of this.#rules) {
      if (!rule.wants || rule.wants(VIEW)) this.#env.logs.add(rule, VIEW);
    }
    const { span } = record;
    if (this.tracing && span?.sampled) {
      this.#env.exporters.exporter(this.tracing).add(spanOf(VIEW, span, this.tracing, this.#maker));
    }
  }
}

/** undefined: nothing to observe. */
export function observerOf(env: ObserveEnv, observed: Observed): Observer | undefined {
  const { rules = [], tracing, traced = noTraces(), outbound = false } = observed;
  const all = [...rules, ...env.everywhere];
  if (all.length === 0 && !tracing) return undefined;
  return new Observer(env, { rules: all, tracing, traced, outbound });
}
