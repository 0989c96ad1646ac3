// What both sets of subscriptions (ordered.ts, ../named/subscriptions.ts) need of the stream they belong to. They
// decide what to send; the stream sends it, and counts and logs what became of it.
import type { AnyType } from '../types.ts';
import type { Step } from './blocked.ts';
import type { Outgoing } from './protocol.ts';

export interface StreamSide {
  /** The client took what was sent last: something may be sent now. */
  free(): boolean;
  /** @returns the nonce. */
  send(type: AnyType, content: Outgoing): string;
  /** The client answered what was sent at `sentAt`, monotonic ms. */
  onAnswered(sentAt: number): void;
  /** It refused a response. */
  onNacked(type: AnyType): void;
  /** Who is to blame for a refusal. @param resources none while that is not known yet. */
  onRefused(type: AnyType, error: string, resources: readonly string[]): void;
  /** A step went ahead without the ACKs it should have had. */
  onOverdue(step: Step): void;
  /** Something may be sent that could not be before; calls the stream's pump(). */
  again(): void;
}
