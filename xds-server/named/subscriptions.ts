// The subscriptions of one stream to types that are asked for by name alone. They have no part in the order of a
// change: nothing that we send refers to them.
import type { Clock } from '../../lib/clock.ts';
import type { ProxyStatus } from '../../model/proxies.ts';
import { shortened } from '../stream/blame.ts';
import type { ClientState } from '../stream/inspect.ts';
import type { AnyRequest } from '../stream/protocol.ts';
import type { StreamSide } from '../stream/side.ts';
import type { NamedType } from '../types.ts';
import type { Variant } from './absence.ts';
import type { NamedSource } from './resources.ts';
import { NamedSubscription } from './subscription.ts';
import type { Answered } from './subscription.ts';

export interface NamedOptions {
  readonly variant: Variant;
  /** Absent: there is nothing. */
  readonly source: NamedSource | undefined;
  readonly clock: Clock;
  readonly side: StreamSide;
}

export class NamedSubscriptions {
  readonly #o: NamedOptions;
  readonly #source: NamedSource;
  readonly #subs = new Map<NamedType, NamedSubscription>();

  constructor(options: NamedOptions) {
    this.#o = options;
    this.#source = options.source ?? { get: () => undefined };
  }

  receive(type: NamedType, request: AnyRequest): void {
    const sub = this.#subs.get(type) ?? new NamedSubscription(type, this.#o.variant);
    this.#subs.set(type, sub);
    const answer = sub.answered(request);
    if (answer) this.#report(type, answer, request.error ?? '');
    sub.subscribe(request);
  }

  /** True when one of those that changed is subscribed to; it is sent by the next pump(). */
  mark(type: NamedType, names: Iterable<string>): boolean {
    return this.#subs.get(type)?.mark(names) ?? false;
  }

  pump(onlyAdd: boolean): void {
    const { side, clock } = this.#o;
    for (const sub of this.#subs.values()) {
      if (!side.free()) return;
      const content = sub.take(this.#source, onlyAdd);
      if (content) sub.sent(content, side.send(sub.type, content), clock.monotonic());
    }
  }

  /** Of the types that were asked for. */
  status(): Partial<ProxyStatus['types']> {
    return Object.fromEntries([...this.#subs].map(([type, sub]) => [type, sub.status(this.#source)]));
  }

  inspect(): ClientState['types'] {
    return [...this.#subs].map(([type, sub]) => ({
      type,
      version: sub.ackedVersion,
      resources: sub.inspect(this.#source),
    }));
  }

  #report(type: NamedType, { sentAt, refused }: Answered, error: string): void {
    const { side } = this.#o;
    side.onAnswered(sentAt);
    if (refused === undefined) return;
    side.onNacked(type);
    side.onRefused(type, shortened(error), refused === '' ? [] : [refused]);
  }
}
