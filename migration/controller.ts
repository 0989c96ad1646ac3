// Runs migrations: looks every second, lets the machine decide, and writes what it decided. Only a written state is
// gone by; a write that somebody else was faster with is forgotten, and decided anew from what is there then. Steps on
// one replica only; the others show, and take what operators say.
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import { IsthmusError, describeError } from '../lib/errors.ts';
import { initialState } from '../model/migration-state.ts';
import type { MeasuredShare, MigrationReport, MigrationState } from '../model/migration-state.ts';
import type { MigrationSpec } from '../model/migration.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import type { Logger } from '../telemetry/logger.ts';
import { obey } from './commands.ts';
import type { Wish } from './commands.ts';
import { MIGRATION_NOT_FOUND, MIGRATION_REFUSED } from './errors.ts';
import type { Counts, Facts, SideTotals, Total } from './facts.ts';
import { decide } from './machine.ts';
import type { Decision } from './machine.ts';
import { Meter } from './meter.ts';
import { sideFacts } from './observe.ts';

export interface KeptState {
  readonly state: MigrationState;
  readonly revision: string;
}

/** Where states are kept: what is in force is the same on all replicas. */
export interface StateStore {
  now(): number;
  get(service: string): KeptState | undefined;
  services(): readonly string[];
  /**
   * @param state undefined: it is forgotten. @param expected revision of what is there, null: nothing.
   * @throws when something else is there, or when it cannot be known to all.
   */
  write(
    service: string,
    state: MigrationState | undefined,
    by: string,
    expected: string | null,
  ): Promise<void>;
}

export interface Wanted {
  readonly spec: MigrationSpec;
  readonly origin: string;
}

export interface MigrationDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly states: StateStore;
  /** By service. */
  wanted(): ReadonlyMap<string, Wanted>;
  snapshot(): FederationSnapshot;
  totals(spec: MigrationSpec): SideTotals;
  /** undefined: too few data planes, or requests, told. */
  latency(
    spec: MigrationSpec,
    side: keyof SideTotals,
    windowMs: number,
  ): Pick<Counts, 'p99Ms' | 'p99LeastMs'> | undefined;
  /** '' when this replica steps; else who does, in words. */
  stepsElsewhere(): string;
  /** This replica has written it. */
  onStep(spec: MigrationSpec, before: MigrationState | undefined, after: MigrationState): void;
  /** Reports of data planes come so much later. */
  readonly reportsLagMs: number;
  /** Between two looks. Default 1,000 ms. */
  readonly everyMs?: number;
}

const NONE: Total = { successes: 0, errors: 0, issued: 0 };

/** So often is an operator's wish judged anew. */
const TRIES = 3;

const isBeaten = (thrown: unknown): boolean =>
  thrown instanceof IsthmusError && thrown.code === 'ISTHMUS_REVISION_CONFLICT';

export class Migrations {
  readonly #d: MigrationDeps;
  readonly #meters = new Map<string, Meter>();
  readonly #faults = new Map<string, string>();

  constructor(deps: MigrationDeps) {
    this.#d = deps;
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.tick();
      await sleep(this.#d.everyMs ?? 1_000, signal, this.#d.clock).catch(() => undefined);
    }
  }

  /** One look at all of them. Never throws. */
  async tick(): Promise<void> {
    const wanted = this.#d.wanted();
    for (const [service, { spec }] of wanted) {
      this.#read(spec);
      if (this.#d.stepsElsewhere() === '') await this.#tried(service, () => this.#step(spec));
    }
    for (const service of this.#meters.keys()) if (!wanted.has(service)) this.#meters.delete(service);
    if (this.#d.stepsElsewhere() !== '') return;
    for (const service of this.#d.states.services()) {
      if (!wanted.has(service)) await this.#tried(service, () => this.#forget(service));
    }
  }

  /** As an operator wishes, on any replica. @throws ISTHMUS_MIGRATION_NOT_FOUND, ISTHMUS_MIGRATION_REFUSED, … */
  async obey(service: string, wish: Wish): Promise<MigrationReport> {
    const wanted = this.#d.wanted().get(service);
    if (!wanted) throw MIGRATION_NOT_FOUND(service);
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#obeyOnce(wanted.spec, wish);
        return this.#report(wanted);
      } catch (thrown) {
        // A step of its own came between the reading and the writing: the wish is judged by what is so now.
        if (!isBeaten(thrown) || tries === TRIES) throw thrown;
      }
    }
  }

  async #obeyOnce(spec: MigrationSpec, wish: Wish): Promise<void> {
    const { states } = this.#d;
    const kept = states.get(spec.service);
    const now = states.now();
    const next = obey(kept?.state ?? initialState(spec, now), wish, now);
    if (typeof next === 'string') throw MIGRATION_REFUSED(spec.service, next);
    await states.write(spec.service, next, wish.by, kept?.revision ?? null);
    this.#d.onStep(spec, kept?.state, next);
  }

  /** Sorted by service. */
  reports(): readonly MigrationReport[] {
    return [...this.#d.wanted()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, wanted]) => this.#report(wanted));
  }

  async #step(spec: MigrationSpec): Promise<void> {
    const { states } = this.#d;
    const kept = states.get(spec.service);
    const before = kept?.state ?? initialState(spec, states.now());
    const { state } = this.#decide(spec, before);
    if (kept && state === before) return;
    await states.write(spec.service, state, '', kept?.revision ?? null);
    this.#d.onStep(spec, kept?.state, state);
  }

  async #forget(service: string): Promise<void> {
    const kept = this.#d.states.get(service);
    if (kept) await this.#d.states.write(service, undefined, '', kept.revision);
  }

  async #tried(service: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#faults.delete(service);
    } catch (thrown) {
      const cause = describeError(thrown);
      // The same cause at every look is no news.
      if (this.#faults.get(service) !== cause) {
        this.#d.log.warn({ service, cause }, 'a migration does not go on');
      }
      this.#faults.set(service, cause);
    }
  }

  #decide(spec: MigrationSpec, state: MigrationState): Decision {
    return decide(spec, state, this.#facts(spec, state), this.#d.states.now());
  }

  #facts(spec: MigrationSpec, state: MigrationState): Facts {
    const { service, from, to, after } = spec;
    const snapshot = this.#d.snapshot();
    const meter = this.#meters.get(service);
    const begunMs = this.#d.states.now() - state.since;
    return {
      from: sideFacts(snapshot, service, from),
      to: sideFacts(snapshot, service, to),
      counts: (side, windowMs) => ({
        ...(meter?.within(windowMs)?.[side] ?? NONE),
        ...this.#d.latency(spec, side, Math.min(windowMs, begunMs)),
      }),
      unfinished: after.flatMap((other) => this.#unfinished(other)),
    };
  }

  #unfinished(service: string): readonly string[] {
    if (!this.#d.wanted().has(service)) return [`${service} has no migration`];
    const phase = this.#d.states.get(service)?.state.phase ?? 'pending';
    return phase === 'completed' || phase === 'retired' ? [] : [`the migration of ${service} is ${phase}`];
  }

  #read(spec: MigrationSpec): void {
    const { states, clock, reportsLagMs } = this.#d;
    const kept = states.get(spec.service);
    if (!kept) return;
    const { phase, step, since } = kept.state;
    const meter = this.#meters.get(spec.service) ?? new Meter();
    this.#meters.set(spec.service, meter);
    const at = clock.monotonic();
    const begun = at - (states.now() - since) + reportsLagMs;
    meter.read({ at, ...this.#d.totals(spec) }, `${phase} ${step} ${since}`, begun);
  }

  #report({ spec, origin }: Wanted): MigrationReport {
    const { states } = this.#d;
    const kept = states.get(spec.service);
    const state = kept?.state ?? initialState(spec, states.now());
    const { waitsFor, verdicts } = this.#decide(spec, state);
    return {
      spec,
      origin,
      state,
      revision: kept?.revision ?? '',
      waitsFor: this.#faults.get(spec.service) ?? waitsFor,
      verdicts,
      measured: this.#measured(spec.service),
      controller: this.#d.stepsElsewhere(),
    };
  }

  #measured(service: string): MeasuredShare | undefined {
    const since = this.#meters.get(service)?.sinceBegun();
    if (!since) return undefined;
    const [fromRequests, toRequests] = [since.from.issued, since.to.issued];
    const all = fromRequests + toRequests;
    return {
      fromRequests,
      toRequests,
      fromErrors: since.from.errors,
      toErrors: since.to.errors,
      percent: all === 0 ? undefined : (100 * toRequests) / all,
      sinceMs: since.ms,
    };
  }
}
