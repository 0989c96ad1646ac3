// The subscriptions of one stream to clusters, endpoints, listeners and routes: takes requests for them, and decides
// at each pump() what is due, in the order of plan.ts, at most one response per type before its ACK. Later changes
// wait in the subscription and go out merged, read at send time. Beside it: ../named/subscriptions.ts.
import type { Clock } from '../../lib/clock.ts';
import type { ProxyStatus } from '../../model/proxies.ts';
import type { ChangeSet } from '../dialect.ts';
import type { ResourceType } from '../types.ts';
import type { View } from '../view.ts';
import { AwaitedEndpoints } from './awaited.ts';
import { BlockedSteps } from './blocked.ts';
import { inspect } from './inspect.ts';
import type { ClientState } from './inspect.ts';
import type { Interested } from './interest.ts';
import { PLAN, STEP_LIMIT_MS } from './plan.ts';
import type { PlanState, PlannedStep } from './plan.ts';
import type { AnyRequest, Protocol } from './protocol.ts';
import type { StreamSide } from './side.ts';
import { Subscription, differences } from './subscription.ts';
import type { Allowance, Change, Content } from './subscription.ts';
import { typeStatus } from './type-status.ts';

export interface OrderedOptions<R extends AnyRequest> {
  readonly protocol: Protocol<R>;
  readonly clock: Clock;
  readonly side: StreamSide;
  /** Where a new subscription is to tell what it wants; left when the stream closes. */
  readonly interested: ((type: ResourceType) => Interested & { leave(): void }) | undefined;
}

export class OrderedSubscriptions<R extends AnyRequest> {
  readonly #o: OrderedOptions<R>;
  readonly #subs = new Map<ResourceType, Subscription>();
  readonly #interests: { leave(): void }[] = [];
  readonly #awaited = new AwaitedEndpoints();
  readonly #blocked: BlockedSteps;

  constructor(options: OrderedOptions<R>) {
    this.#o = options;
    this.#blocked = new BlockedSteps(STEP_LIMIT_MS, options.clock, () => options.side.again());
  }

  receive(type: ResourceType, request: R, view: View): void {
    const known = this.#subs.get(type);
    const sub = known ?? this.#begin(type);
    if (known && request.nonce !== '') this.#answered(sub, request);
    // D12, D13, S12: a change of the subscription counts whatever the nonce and whatever the error.
    this.#o.protocol.subscribe(sub, request, !known, view);
  }

  /** These changed; they are sent at the next pump(). */
  mark(changes: ChangeSet, view: View): void {
    for (const [type, names] of changes) {
      const sub = this.#subs.get(type);
      if (sub) for (const name of names) sub.touch(name, view);
    }
  }

  /** The client sees something else from now on; what differs is sent at the next pump(). */
  look(before: View, after: View): void {
    for (const { type, name } of this.differences(before, after)) this.#subs.get(type)?.dirty.add(name);
  }

  differences(before: View, after: View): readonly Change[] {
    return [...this.#subs.values()].flatMap((sub) => differences(sub, before, after));
  }

  /** Every source has answered: what start-up held back is due. */
  release(): void {
    for (const sub of this.#subs.values()) sub.release();
  }

  /** Sends what the plan allows. @param onlyAdd start-up: nothing may be taken away. */
  pump(view: View, onlyAdd: boolean): void {
    if (!this.#o.side.free()) return;
    if (!this.#waiting()) return this.#blocked.rest(); // most calls are for an ACK, with nothing new since
    const now = this.#o.clock.monotonic();
    this.#awaited.forget(now, view);
    const state: PlanState = { subs: this.#subs, view, awaited: this.#awaited, now };
    for (const planned of PLAN) {
      if (!this.#due(planned) || !this.#maySend(planned, state)) continue;
      this.#push(planned.type, view, { remove: !onlyAdd && planned.removes(state), onlyAdd });
    }
    this.#blocked.watch(now);
  }

  /** Whether the client named it. */
  wants(type: ResourceType, name: string): boolean {
    return this.#subs.get(type)?.names.has(name) ?? false;
  }

  status(view: View): ProxyStatus['types'] {
    const of = (type: ResourceType) => typeStatus(this.#subs.get(type), view);
    return { cds: of('cds'), eds: of('eds'), lds: of('lds'), rds: of('rds') };
  }

  /** Resource by resource. */
  inspect(view: View): ClientState['types'] {
    return [...this.#subs].map(([type, sub]) => ({
      type,
      version: sub.ackedVersion,
      resources: inspect(sub, view),
    }));
  }

  close(): void {
    this.#blocked.close();
    for (const interest of this.#interests) interest.leave();
  }

  #begin(type: ResourceType): Subscription {
    const interested = this.#o.interested?.(type);
    if (interested) this.#interests.push(interested);
    const sub = new Subscription(type, interested);
    this.#subs.set(type, sub);
    return sub;
  }

  #answered(sub: Subscription, { nonce, error }: R): void {
    const { side, clock } = this.#o;
    const refused = error !== undefined;
    const response = refused ? sub.refuse(nonce, error, clock.monotonic()) : sub.acknowledge(nonce);
    if (!response) return;
    if (refused) {
      side.onNacked(sub.type);
      this.#report(sub, sub.takeParked());
    } else side.onAnswered(response.sentAt);
    this.#awaited.answered(sub.type, response, refused, this.#subs.get('eds')?.answers);
  }

  /** @param parked none while it is not known whom the client means. */
  #report(sub: Subscription, parked: readonly string[]): void {
    this.#o.side.onRefused(sub.type, sub.refusal?.error ?? '', parked);
  }

  /** Some type could be sent if its step lets it. */
  #waiting(): boolean {
    for (const sub of this.#subs.values()) if (sub.pending && !sub.inFlight) return true;
    return false;
  }

  /** Whether a step has something to send, and the client would take it. */
  #due({ type, step }: PlannedStep): boolean {
    if (!this.#o.side.free()) return false;
    const sub = this.#subs.get(type);
    if (sub && !sub.inFlight && sub.pending) return true;
    this.#blocked.clear(step);
    return false;
  }

  /** True when the plan lets it, or it has waited too long (O12). */
  #maySend(planned: PlannedStep, state: PlanState): boolean {
    const { step } = planned;
    if (!planned.may(state)) {
      if (!this.#blocked.overdue(step, state.now)) return false;
      this.#o.side.onOverdue(step);
    }
    this.#blocked.clear(step);
    return true;
  }

  #push(type: ResourceType, view: View, may: Allowance): void {
    const sub = this.#subs.get(type);
    if (!sub) return;
    const content = this.#o.protocol.take(sub, view, may);
    const convicted = sub.takeParked();
    if (convicted.length > 0) this.#report(sub, convicted);
    if (!content) return;
    const sentAt = this.#o.clock.monotonic();
    sub.sent({ ...content, nonce: this.#o.side.send(type, content), sentAt });
    this.#expectDependents(type, content, sentAt);
  }

  /** O5, O7: what a changed cluster or listener warms with is sent again, changed or not. */
  #expectDependents(type: ResourceType, content: Content, now: number): void {
    const next = type === 'cds' ? 'eds' : type === 'lds' ? 'rds' : undefined;
    if (!next) return;
    const sub = this.#subs.get(next);
    for (const { dependents } of content.whole?.fresh ?? content.resources) {
      for (const name of dependents) {
        if (sub?.wants(name)) sub.answers.add(name);
        if (next === 'eds') this.#awaited.expect(name, now);
      }
    }
  }
}
