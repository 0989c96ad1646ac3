// Checks one host, over and over, on the data plane's timer wheel: one timer, one question under way at most. Tells
// its owner when what is thought of the host changed, and each finding to whoever listens. Chooses nobody.
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import { Line, ask } from './ask.ts';
import { HealthRecord, waitMs } from './judge.ts';
import { LATE } from './rules.ts';
import type { CheckPlace, Finding, HealthRules } from './rules.ts';

export interface CheckerOwner {
  readonly wheel: TimerWheel;
  /** 0 ≤ n < 1. */
  random(): number;
  /** Whether the cluster ever had a connection. */
  hasTraffic(): boolean;
  /** What is thought of the host is another now. */
  onHealth(checker: HostChecker): void;
  /** After each check. */
  onFinding(checker: HostChecker, finding: Finding): void;
}

export class HostChecker {
  readonly record = new HealthRecord();
  readonly #owner: CheckerOwner;
  readonly #timer = new WheelTimer(() => this.#onTimer());
  #rules: HealthRules;
  #place: CheckPlace;
  #line: Line | undefined;
  #giveUp: (() => void) | undefined;
  checks = 0;
  failures = 0;

  constructor(rules: HealthRules, place: CheckPlace, owner: CheckerOwner) {
    this.#owner = owner;
    this.#rules = rules;
    this.#place = place;
    const waitFor = owner.random() * rules.initialJitterMs;
    if (waitFor > 0) owner.wheel.arm(this.#timer, waitFor);
    else this.#ask();
  }

  get place(): CheckPlace {
    return this.#place;
  }

  /** From the next check on. What was found stays, unless it is another place that is asked. */
  update(rules: HealthRules, place: CheckPlace): void {
    if (rules !== this.#rules) {
      const isSooner = rules.intervalMs < this.#rules.intervalMs;
      this.#rules = rules;
      this.#hangUp();
      if (isSooner && !this.#giveUp) this.#owner.wheel.arm(this.#timer, rules.intervalMs);
    }
    this.#place = place;
  }

  /** The host said so itself. */
  failNow(): void {
    if (this.record.failNow()) this.#owner.onHealth(this);
  }

  /** For good. */
  close(): void {
    this.#giveUp?.();
    this.#giveUp = undefined;
    this.#owner.wheel.disarm(this.#timer);
    this.#hangUp();
  }

  #hangUp(): void {
    this.#line?.close();
    this.#line = undefined;
  }

  #onTimer(): void {
    if (!this.#giveUp) return this.#ask();
    this.#giveUp();
    this.#hangUp();
    this.#onFinding(LATE);
  }

  #ask(): void {
    if (this.#rules.reuse) this.#line ??= new Line();
    this.#owner.wheel.arm(this.#timer, this.#rules.timeoutMs);
    this.#giveUp = ask(this.#rules.question, this.#place, this.#line, (finding) => this.#onFinding(finding));
  }

  #onFinding(finding: Finding): void {
    this.#giveUp = undefined;
    this.checks += 1;
    this.failures += Number(!finding.ok);
    const { record } = this;
    const before = stateOf(record);
    const transition = record.take(finding, this.#rules);
    const after = { ok: finding.ok, transition, hasTraffic: this.#owner.hasTraffic() };
    this.#owner.wheel.arm(
      this.#timer,
      waitMs(this.#rules, after, () => this.#owner.random()),
    );
    if (before !== stateOf(record)) this.#owner.onHealth(this);
    this.#owner.onFinding(this, finding);
  }
}

/** `first` is a part of it: who waits for a first verdict has to hear that there is one. */
const stateOf = ({ failed, degraded, excluded, first }: HealthRecord): string =>
  `${failed} ${degraded} ${excluded} ${first}`;
