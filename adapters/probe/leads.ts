// What data planes tell of somebody who answers in another name: a lead, not a verdict. Where the control plane can
// reach the address it asks at once, and its own ping decides; where it cannot, two data planes that say the same do.
// Forgets what nobody repeats.
import type { Clock } from '../../lib/clock.ts';
import type { Suspect, Verdict } from '../../model/ping.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { ping } from '../ping.ts';
import { howToPing, pathOf } from './prober.ts';

/** An endpoint that a lead is about, as one source lists it. */
export interface LeadTarget extends Omit<Suspect, 'cause' | 'refuted'> {
  /** This process may ping it. */
  readonly isReachable: boolean;
}

export interface Lead {
  /** Who says so. */
  readonly node: string;
  /** In whose name it answered; '' when that was not said. */
  readonly answeredAs: string;
  /** All that the address stands for in the service, as any source lists it. */
  readonly targets: readonly LeadTarget[];
}

export interface LeadsOptions {
  /** Only verdicts that say who is there. */
  readonly prove: (target: LeadTarget, verdict: Verdict) => void;
  readonly timeoutMs: number;
  /** Where an endpoint does not say its own. */
  readonly path: string;
  /** Pings under way at once; what is more is told again. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** From one ping of an endpoint to the next. */
const AGAIN_MS = 1_000;
/** For so long a data plane's word waits for another one's. */
const WORD_MS = 30_000;
/** So many data planes are believed where nobody can look. */
const WITNESSES = 2;
const NAMELESS = 'another service';

export class Leads {
  readonly #o: LeadsOptions;
  readonly #signal: AbortSignal;
  /** By target: monotonic ms of the last ping. */
  readonly #askedAt = new Map<string, number>();
  /** By target: who said so when, in whose name. */
  readonly #words = new Map<string, Map<string, { readonly at: number; readonly answeredAs: string }>>();
  #running = 0;

  /** @param signal ends pings that are under way. */
  constructor(options: LeadsOptions, signal: AbortSignal) {
    this.#o = options;
    this.#signal = signal;
  }

  follow({ node, answeredAs, targets }: Lead): void {
    this.#forgetOld();
    for (const target of targets) {
      const how = howToPing(target.protocol);
      if (how === undefined) continue;
      if (target.isReachable && how === 'http') void this.#ask(target);
      else this.#hear(target, node, answeredAs);
    }
  }

  /** Never rejects. */
  async #ask(target: LeadTarget): Promise<void> {
    const { clock, log, metrics, timeoutMs, path, prove } = this.#o;
    const { source, service, key, endpoint, aliases } = target;
    const id = idOf(target);
    if (this.#askedAt.has(id) || this.#running >= this.#o.concurrency) return;
    this.#askedAt.set(id, clock.monotonic());
    this.#running += 1;
    const { address, port } = endpoint;
    const at = { address, port, how: 'http' as const, path: pathOf(endpoint, path), service, aliases };
    const answer = await ping(at, timeoutMs, clock, this.#signal);
    this.#running -= 1;
    if (!answer) return;
    const { verdict } = answer;
    metrics.probe.pings.inc({ source, verdict: verdict.kind });
    log.debug({ source, service, endpoint: key, verdict: verdict.kind }, 'a lead was followed');
    if (verdict.kind === 'alive' || verdict.kind === 'answeredAs') prove(target, verdict);
  }

  #hear(target: LeadTarget, node: string, answeredAs: string): void {
    const id = idOf(target);
    const words = this.#words.get(id) ?? new Map();
    this.#words.set(id, words.set(node, { at: this.#o.clock.monotonic(), answeredAs }));
    if (words.size < WITNESSES) return;
    const name = [...words.values()].find((word) => word.answeredAs !== '')?.answeredAs;
    this.#o.prove(target, { kind: 'answeredAs', service: name ?? NAMELESS });
  }

  #forgetOld(): void {
    const now = this.#o.clock.monotonic();
    for (const [id, at] of this.#askedAt) if (now - at >= AGAIN_MS) this.#askedAt.delete(id);
    for (const [id, words] of this.#words) {
      for (const [node, { at }] of words) if (now - at >= WORD_MS) words.delete(node);
      if (words.size === 0) this.#words.delete(id);
    }
  }
}

const idOf = ({ source, service, key }: LeadTarget): string => `${source} ${service} ${key}`;
