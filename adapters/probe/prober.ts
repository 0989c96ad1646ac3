// The control plane's own prober: pings the endpoints whose life or identity is in question, and tells what they
// answered. Goes round by round over what it is asked to look at, one ping after the other with a pause between them:
// no memory of single endpoints, one timer per lane, no connection that outlives its ping. Decides nothing.
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { takeTurns } from '../../lib/turns.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import type { Pinger, Suspect, SuspectCause, Verdict } from '../../model/ping.ts';
import { HEALTH_PATH_LABEL } from '../../model/sidecars.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { ping } from '../ping.ts';
import type { PingTarget } from '../ping.ts';
import { mayPing } from './reach.ts';
import { Tally, shareOf } from './tally.ts';

export interface ProbeSettings {
  /** From one ping of an endpoint to the next; longer when there are so many that `perSecond` is reached. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Pings under way at once, in each lane. */
  readonly concurrency: number;
  /** Pings begun in a second, in each lane. */
  readonly perSecond: number;
  /** Where an endpoint does not say its own. */
  readonly path: string;
  readonly networks: readonly string[];
}

export interface ProberOptions {
  /** @param ofDark those of sources that do not answer, which may be very many, or all others. */
  readonly suspects: (ofDark: boolean) => Iterable<Suspect>;
  readonly prove: (source: string, service: string, key: string, verdict: Verdict, by: Pinger) => void;
  /** Whether a source is on this machine's loopback. */
  readonly isLocal: (source: string) => boolean;
  readonly settings: ProbeSettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random?: () => number;
}

/** Few endpoints are not strewn over the whole interval: what is new among them shall not wait for it. */
const MAX_GAP_MS = 50;
/** Shorter pauses are taken together: timers cost more than pings. */
const LEAST_SLEEP_MS = 4;
/** In a round of very many, failures are told after so many pings. */
const PART = 1_000;
/** Above this share of failures the aggregator does not believe the prober alone. */
const TROUBLED = 0.2;

/** Runs until `signal` aborts; then leaves no timer and no connection. */
export async function runProber(options: ProberOptions, signal: AbortSignal): Promise<void> {
  const prober = new Prober(options, signal);
  await Promise.all([prober.run('doubtful'), prober.run('dark')]);
}

type Lane = 'doubtful' | 'dark';

class Prober {
  readonly #options: ProberOptions;
  readonly #signal: AbortSignal;
  readonly #random: () => number;
  /** Of each lane's last part. */
  readonly #tallies: Record<Lane, Tally> = { doubtful: new Tally(), dark: new Tally() };
  readonly #seen: Record<Lane, ReadonlyMap<SuspectCause | 'out-of-reach', number>> = {
    doubtful: new Map(),
    dark: new Map(),
  };
  #isTroubled = false;

  constructor(options: ProberOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#random = options.random ?? Math.random;
  }

  async run(lane: Lane): Promise<void> {
    const { clock, settings } = this.#options;
    let expected = 0;
    while (!this.#signal.aborted) {
      const began = clock.monotonic();
      try {
        expected = await this.#round(lane, expected);
        const restMs = settings.intervalMs * (0.9 + this.#random() * 0.2) - (clock.monotonic() - began);
        await sleep(Math.max(LEAST_SLEEP_MS, restMs), this.#signal, clock);
      } catch (thrown) {
        if (this.#signal.aborted) return;
        throw thrown;
      }
    }
  }

  /** @param expected pings, as in the round before. Returns how many there were. */
  async #round(lane: Lane, expected: number): Promise<number> {
    const { settings, suspects, isLocal, metrics } = this.#options;
    const { networks } = settings;
    const pace = new Pace(this.#options.clock, this.#gapMs(expected), this.#random);
    const turns = takeTurns(this.#signal);
    const seen = new Map<SuspectCause | 'out-of-reach', number>();
    let part = new Part();
    let pings = 0;
    try {
      for (const suspect of suspects(lane === 'dark')) {
        if (turns.due) await turns.next();
        const how = howToPing(suspect.protocol);
        const isReachable = mayPing(suspect.endpoint, { networks, isLocal: isLocal(suspect.source) });
        const cause = isReachable && how ? suspect.cause : 'out-of-reach';
        seen.set(cause, (seen.get(cause) ?? 0) + 1);
        if (!how || cause === 'out-of-reach') continue;
        await part.room(settings.concurrency);
        part.start(this.#one(suspect, how, part).catch((thrown: unknown) => this.#onFault(thrown)));
        pings += 1;
        await pace.next(this.#signal);
        if (part.tally.pings < PART) continue;
        await this.#tell(lane, part);
        part = new Part();
      }
    } finally {
      await part.end();
    }
    await this.#tell(lane, part);
    this.#seen[lane] = seen;
    showSuspects(metrics, Object.values(this.#seen));
    return pings;
  }

  #gapMs(expected: number): number {
    const { intervalMs, perSecond } = this.#options.settings;
    const least = 1_000 / perSecond;
    return expected === 0 ? least : Math.max(least, Math.min(MAX_GAP_MS, intervalMs / expected));
  }

  async #one(suspect: Suspect, how: PingTarget['how'], part: Part): Promise<void> {
    const { settings, clock, log, metrics, prove } = this.#options;
    const { source, service, key, endpoint, aliases } = suspect;
    const path = pathOf(endpoint, settings.path);
    const { address, port } = endpoint;
    const began = clock.monotonic();
    const target: PingTarget = { address, port, how, path, service, aliases };
    const answer = await ping(target, settings.timeoutMs, clock, this.#signal);
    if (!answer) return;
    const { verdict, cause } = answer;
    metrics.probe.duration.observe((clock.monotonic() - began) / 1_000);
    metrics.probe.pings.inc({ source, verdict: verdict.kind });
    log.debug({ source, service, endpoint: key, verdict: verdict.kind, ...(cause && { cause }) }, 'ping');
    const hasFailed = verdict.kind === 'refused';
    // Whoever was found dead before says nothing of our own network by being dead still.
    if (!suspect.refuted) part.tally.add(source, hasFailed);
    if (!hasFailed) prove(source, service, key, verdict, { kind: 'prober', failing: 0 });
    else if (!suspect.refuted) part.failures.push(suspect);
  }

  #onFault(thrown: unknown): void {
    this.#options.log.error({ err: thrown }, 'a ping could not be made, or its answer not be told');
  }

  /** Failures are told when it is known what all pings around them said. */
  async #tell(lane: Lane, part: Part): Promise<void> {
    await part.end();
    const { prove } = this.#options;
    const other = this.#tallies[lane === 'dark' ? 'doubtful' : 'dark'];
    for (const { source, service, key } of part.failures) {
      const failing = part.tally.failing(source, other);
      prove(source, service, key, { kind: 'refused' }, { kind: 'prober', failing });
    }
    this.#tallies[lane] = part.tally;
    this.#watchItself();
  }

  #watchItself(): void {
    const { log, metrics } = this.#options;
    const tallies = Object.values(this.#tallies);
    const failing = shareOf(...tallies);
    metrics.probe.failing.set(failing);
    const isTroubled = failing >= TROUBLED;
    if (isTroubled === this.#isTroubled) return;
    this.#isTroubled = isTroubled;
    const pings = tallies.reduce((sum, tally) => sum + tally.pings, 0);
    const text = isTroubled
      ? 'a fifth of the pings or more fail: it may be this machine, so they refute nobody'
      : 'pings are answered again';
    log[isTroubled ? 'warn' : 'info']({ pings, failing }, text);
  }
}

/** Pings whose failures are told together. */
class Part {
  readonly tally = new Tally();
  readonly failures: Suspect[] = [];
  readonly #running = new Set<Promise<void>>();

  start(work: Promise<void>): void {
    const done = work.finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  /** Waits until fewer than `most` are under way. */
  async room(most: number): Promise<void> {
    while (this.#running.size >= most) await Promise.race(this.#running);
  }

  async end(): Promise<void> {
    await Promise.all(this.#running);
  }
}

/** Pauses between beginnings, each between half of the gap and one and a half. */
class Pace {
  readonly #clock: Clock;
  readonly #gapMs: number;
  readonly #random: () => number;
  #due: number;

  constructor(clock: Clock, gapMs: number, random: () => number) {
    this.#clock = clock;
    this.#gapMs = gapMs;
    this.#random = random;
    this.#due = clock.monotonic();
  }

  async next(signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    // What a wait for room has cost is not made up for by a burst.
    this.#due = Math.max(this.#due, now - LEAST_SLEEP_MS) + this.#gapMs * (0.5 + this.#random());
    if (this.#due - now >= LEAST_SLEEP_MS) await sleep(this.#due - now, signal, this.#clock);
  }
}

/** undefined: no ping makes sense. */
export function howToPing(protocol: string): PingTarget['how'] | undefined {
  const name = protocol.toLowerCase();
  if (name === 'udp' || name === 'sctp') return undefined;
  return name === '' || name === 'http' || name === 'http1' ? 'http' : 'connect';
}

export function pathOf({ labels }: Endpoint, byDefault: string): string {
  const own = labels[HEALTH_PATH_LABEL] ?? '';
  return /^\/[\x21-\x7e]{0,500}$/.test(own) ? own : byDefault;
}

function showSuspects(
  { probe }: Metrics,
  lanes: readonly ReadonlyMap<SuspectCause | 'out-of-reach', number>[],
): void {
  for (const cause of ['dark', 'doubted', 'quarantined', 'conflict', 'moving', 'out-of-reach'] as const) {
    probe.suspects.set(
      { cause },
      lanes.reduce((sum, seen) => sum + (seen.get(cause) ?? 0), 0),
    );
  }
}
