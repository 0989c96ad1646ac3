// One xDS stream: takes requests, keeps one subscription per type, and sends what is due, at most one
// response per type before its ACK. Later changes wait in the subscription and go out merged, read at
// send time. Knows neither gRPC nor registries; bytes in, bytes out.
import type { Clock } from '../../lib/clock.ts';
import { defineError } from '../../lib/errors.ts';
import type { ProxyStatus } from '../../model/proxies.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ChangeSet } from '../dialect.ts';
import { readNode } from '../node.ts';
import type { ClientNode } from '../node.ts';
import type { NamedSource } from '../named/resources.ts';
import type { Answered } from '../named/subscription.ts';
import { NamedSubscriptions } from '../named/subscriptions.ts';
import { PUSH_ORDER, TYPE_URL, namedTypeOf, resourceTypeOf } from '../types.ts';
import type { AnyType, NamedType, ResourceType } from '../types.ts';
import type { View } from '../view.ts';
import { withoutExtensions } from '../wire/node.ts';
import type { ResponseWriter } from '../wire/response.ts';
import { shortened } from './blame.ts';
import { BlockedSteps } from './blocked.ts';
import type { Step } from './blocked.ts';
import { inspect, standsBeside } from './inspect.ts';
import type { ClientState } from './inspect.ts';
import type { Interested } from './interest.ts';
import { STEP_LIMIT_MS, mayRemove, mayUpsert } from './plan.ts';
import type { AnyRequest, Outgoing, Protocol } from './protocol.ts';
import { Subscription, differences } from './subscription.ts';
import type { Change, Content, InFlight } from './subscription.ts';
import { typeStatus } from './type-status.ts';

/** What the server may tell clients while its sources have not all answered yet. */
export type Gate = 'waiting' | 'only-add' | 'open';

export interface StreamOptions<R extends AnyRequest> {
  /** Unique in the process; part of every nonce, so that a nonce never survives its stream (T8). */
  readonly id: string;
  readonly protocol: Protocol<R>;
  /** The type of every message on a service of one type; undefined on ADS. */
  readonly only?: AnyType | undefined;
  readonly writer: ResponseWriter;
  readonly clock: Clock;
  readonly metrics: Metrics;
  gate(): Gate;
  /** The view of the node's group; called once, with the first message. */
  join(node: ClientNode): View;
  /** Where a new subscription is to tell what it wants; left when the stream closes. */
  interested?(type: ResourceType): Interested & { leave(): void };
  /** What there is of types that are asked for by name alone. Default: nothing. */
  readonly named?: NamedSource | undefined;
  send(bytes: Buffer): void;
  /** The client took what was sent last. Until then nothing is made; pump() tells when. Default: always. */
  free?(): boolean;
  /** A refused response, for the log. @param resources those at fault; none while that is not known yet. */
  onRefused(node: ClientNode, type: AnyType, error: string, resources: readonly string[]): void;
  /** A step went ahead without the ACKs it should have had, for the log. */
  onOverdue(node: ClientNode, step: Step): void;
}

/** What is gone goes last, in this order. */
const REMOVALS = [
  ['cds', 'cds removals'],
  ['eds', 'eds removals'],
] as const;

/** Requests kept while the gate is shut; an honest client sends a handful before its first answer. */
const MAX_EARLY = 1_000;

export const REQUEST_INVALID = defineError(
  'ISTHMUS_XDS_REQUEST_INVALID',
  (what: string) => `bad discovery request: ${what}`,
  { hint: 'The client speaks another protocol, or its messages are cut.' },
);

export class XdsStream<R extends AnyRequest = AnyRequest> {
  readonly #o: StreamOptions<R>;
  readonly #subs = new Map<ResourceType, Subscription>();
  readonly #named: NamedSubscriptions;
  readonly #awaitingEndpoints = new Map<string, number>();
  readonly #blocked = new BlockedSteps(STEP_LIMIT_MS);
  readonly #connectedSince: number;
  #client: { readonly node: ClientNode; readonly bytes: Buffer; readonly view: View } | undefined;
  /** Requests that came before the gate opened; answered then, from complete state. */
  #early: R[] = [];
  readonly #interests: { leave(): void }[] = [];
  #nonce = 0;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(options: StreamOptions<R>) {
    this.#o = options;
    this.#connectedSince = options.clock.now();
    this.#named = new NamedSubscriptions({
      variant: options.protocol.name,
      source: options.named,
      now: () => options.clock.monotonic(),
      free: () => this.#free(),
      send: (type, content) => this.#send(type, content),
      onAnswer: (type, answer, error) => this.#onNamedAnswer(type, answer, error),
    });
  }

  /** Throws an error that ends the stream; its text goes to the client. */
  receive(bytes: Uint8Array): void {
    const request = this.#read(bytes);
    this.#client ??= this.#identify(request);
    this.#checkType(request);
    if (this.#o.gate() === 'waiting') {
      if (this.#early.length === MAX_EARLY) throw REQUEST_INVALID(`more than ${MAX_EARLY} before an answer`);
      this.#early.push(request);
    } else this.#apply(request, this.#client.view);
    this.pump();
  }

  /** What changed for the client's group; sent as the plan allows. */
  touch(changes: ChangeSet): void {
    this.mark(changes);
    this.pump();
  }

  /** The same, to be sent at the next pump(). */
  mark(changes: ChangeSet): void {
    const client = this.#client;
    if (!client) return;
    for (const [type, names] of changes) {
      const sub = this.#subs.get(type);
      if (sub) for (const name of names) sub.touch(name, client.view);
    }
  }

  /** The same for a type that is asked for by name alone. True when something waits for the next pump(). */
  markNamed(type: NamedType, names: Iterable<string>): boolean {
    return this.#named.mark(type, names);
  }

  /** The node is told of other services from now on; what differs is sent at the next pump(). */
  look(view: View): void {
    const client = this.#client;
    if (!client) return;
    this.#client = { ...client, view };
    for (const sub of this.#subs.values()) {
      for (const { name } of differences(sub, client.view, view)) sub.dirty.add(name);
    }
  }

  /** Sends everything that may be sent now. Called after anything that could allow more. */
  pump(): void {
    const client = this.#client;
    const gate = this.#o.gate();
    if (this.#closed || !client || gate === 'waiting') return;
    if (this.#early.length > 0) {
      for (const request of this.#early.splice(0)) this.#apply(request, client.view);
    }
    if (gate === 'open') for (const sub of this.#subs.values()) sub.release();
    this.#named.pump(gate !== 'open');
    if (!this.#free()) return;
    if (!this.#waiting()) return this.#rest(); // most calls are for an ACK, with nothing new since
    const now = this.#o.clock.monotonic();
    this.#forgetWaits(now, client.view);
    const state = { subs: this.#subs, view: client.view, awaitingEndpoints: this.#awaitingEndpoints, now };
    for (const type of PUSH_ORDER) {
      if (!this.#due(type, type) || !this.#maySend(type, now, mayUpsert(type, state))) continue;
      this.#push(type, client.view, { remove: gate === 'open' && mayRemove(type, state), gate });
    }
    for (const [type, step] of REMOVALS) {
      if (!this.#due(type, step) || !this.#maySend(step, now, mayRemove(type, state))) continue;
      this.#push(type, client.view, { remove: gate === 'open', gate });
    }
    this.#wake(now);
  }

  /** Whether the client named it. */
  wants(type: ResourceType, name: string): boolean {
    return this.#subs.get(type)?.names.has(name) ?? false;
  }

  status(): ProxyStatus | undefined {
    const client = this.#client;
    if (!client) return undefined;
    const of = (type: ResourceType) => typeStatus(this.#subs.get(type), client.view);
    return {
      node: client.node.id,
      service: client.node.service,
      kind: client.node.kind,
      version: client.node.version,
      connectedSince: this.#connectedSince,
      types: { cds: of('cds'), eds: of('eds'), lds: of('lds'), rds: of('rds') },
    };
  }

  /** Resource by resource; undefined before the client said who it is. */
  inspect(): Omit<ClientState, 'scope'> | undefined {
    const client = this.#client;
    if (!client) return undefined;
    const types = [...this.#subs].map(([type, sub]) => ({
      type,
      version: sub.ackedVersion,
      resources: inspect(sub, client.view),
    }));
    return {
      id: client.node.id,
      dialect: client.node.group.dialect,
      inbounds: standsBeside(client.node.group),
      node: client.bytes,
      types: [...types, ...this.#named.inspect()],
    };
  }

  /** What would be told if the node were told of other services. */
  differences(next: View): readonly Change[] {
    const client = this.#client;
    return client ? [...this.#subs.values()].flatMap((sub) => differences(sub, client.view, next)) : [];
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#early = [];
    for (const interest of this.#interests) interest.leave();
  }

  #read(bytes: Uint8Array): R {
    try {
      return this.#o.protocol.read(bytes);
    } catch (cause) {
      throw REQUEST_INVALID.from(cause, 'it cannot be decoded');
    }
  }

  #checkType(request: R): void {
    const { only } = this.#o;
    if (only === undefined) {
      if (request.typeUrl === '') throw REQUEST_INVALID('type_url is empty'); // T2
      return;
    }
    request.typeUrl ||= TYPE_URL[only]; // T2: implied
    if (request.typeUrl !== TYPE_URL[only]) {
      throw REQUEST_INVALID(`a service for ${TYPE_URL[only]} was asked for ${request.typeUrl.slice(0, 200)}`); // T3
    }
  }

  #identify(request: R) {
    const bytes = request.node ?? new Uint8Array();
    const node = readNode(bytes); // T5
    return { node, bytes: withoutExtensions(bytes), view: this.#o.join(node) };
  }

  #apply(request: R, view: View): void {
    const type = resourceTypeOf(request.typeUrl);
    if (!type) {
      const named = namedTypeOf(request.typeUrl);
      if (named) this.#named.receive(named, request);
      else this.#o.metrics.xds.unknownTypes.inc(); // T6: neither answered nor ended
      return;
    }
    let sub = this.#subs.get(type);
    const first = sub === undefined;
    if (!sub) {
      const interested = this.#o.interested?.(type);
      if (interested) this.#interests.push(interested);
      sub = new Subscription(type, interested);
      this.#subs.set(type, sub);
    }
    if (!first && request.nonce !== '') this.#answered(sub, request);
    // D12, D13, S12: a change of the subscription counts whatever the nonce and whatever the error.
    this.#o.protocol.subscribe(sub, request, first, view);
  }

  #answered(sub: Subscription, request: R): void {
    if (request.error !== undefined) return this.#refused(sub, request.nonce, request.error);
    const response = sub.acknowledge(request.nonce);
    if (!response) return;
    this.#o.metrics.xds.ack.observe((this.#o.clock.monotonic() - response.sentAt) / 1000);
    this.#endWait(sub.type, response, false);
  }

  #refused(sub: Subscription, nonce: string, error: string): void {
    const response = sub.refuse(nonce, error, this.#o.clock.monotonic());
    if (!response) return;
    this.#o.metrics.xds.rejects.inc({ type: sub.type });
    this.#report(sub, sub.takeParked());
    this.#endWait(sub.type, response, true);
  }

  /** @param parked none while it is not known whom the client means. */
  #report(sub: Subscription, parked: readonly string[]): void {
    this.#o.metrics.xds.refusedResources.inc({ type: sub.type }, parked.length);
    if (this.#client) this.#o.onRefused(this.#client.node, sub.type, sub.refusal?.error ?? '', parked);
  }

  /** O2: a cluster is complete once its endpoints were ACKed; a refused one is not waited for. */
  #endWait(type: ResourceType, response: InFlight, refused: boolean): void {
    if (type !== 'eds' && !(type === 'cds' && refused)) return;
    const due = this.#subs.get('eds')?.answers;
    for (const { name } of response.resources) {
      // Endpoints that were sent before the cluster changed are due again, and those are waited for.
      if (type === 'cds' || !due?.has(name)) this.#awaitingEndpoints.delete(name);
    }
    for (const name of response.removed) this.#awaitingEndpoints.delete(name);
  }

  /** Clusters that are gone, or whose endpoints the client does not ask for, hold up nothing. */
  #forgetWaits(now: number, view: View): void {
    for (const [name, since] of this.#awaitingEndpoints) {
      if (now - since >= STEP_LIMIT_MS || !view.get('cds', name)) this.#awaitingEndpoints.delete(name);
    }
  }

  #free(): boolean {
    return this.#o.free?.() ?? true;
  }

  /** Whether a step has something to send, and the client would take it. */
  #due(type: ResourceType, step: Step): boolean {
    if (!this.#free()) return false;
    const sub = this.#subs.get(type);
    if (sub && !sub.inFlight && sub.pending) return true;
    this.#blocked.clear(step);
    return false;
  }

  /** True when the plan lets it, or it has waited too long (O12). */
  #maySend(step: Step, now: number, may: boolean): boolean {
    if (!may) {
      if (!this.#blocked.overdue(step, now)) return false;
      if (this.#client) this.#o.onOverdue(this.#client.node, step);
    }
    this.#blocked.clear(step);
    return true;
  }

  #push(type: ResourceType, view: View, may: { readonly remove: boolean; readonly gate: Gate }): void {
    const sub = this.#subs.get(type);
    if (!sub) return;
    const content = this.#o.protocol.take(sub, view, { remove: may.remove, onlyAdd: may.gate !== 'open' });
    const convicted = sub.takeParked();
    if (convicted.length > 0) this.#report(sub, convicted);
    if (!content) return;
    const sentAt = this.#o.clock.monotonic();
    sub.sent({ ...content, nonce: this.#send(type, content), sentAt });
    this.#expectDependents(type, content, sentAt);
  }

  /** @returns its nonce. */
  #send(type: AnyType, content: Outgoing): string {
    this.#nonce += 1;
    const nonce = `${this.#o.id}.${this.#nonce}`;
    this.#o.metrics.xds.pushes.inc({ type });
    this.#o.send(this.#o.protocol.write(this.#o.writer, type, nonce, content));
    return nonce;
  }

  #onNamedAnswer(type: NamedType, { sentAt, refused }: Answered, error: string): void {
    const { metrics, clock } = this.#o;
    metrics.xds.ack.observe((clock.monotonic() - sentAt) / 1000);
    if (refused === undefined) return;
    metrics.xds.rejects.inc({ type });
    metrics.xds.refusedResources.inc({ type });
    if (!this.#client) return;
    this.#o.onRefused(this.#client.node, type, shortened(error), refused === '' ? [] : [refused]);
  }

  /** O5, O7: what a changed cluster or listener warms with is sent again, changed or not. */
  #expectDependents(type: ResourceType, content: Content, now: number): void {
    const next = type === 'cds' ? 'eds' : type === 'lds' ? 'rds' : undefined;
    if (!next) return;
    const sub = this.#subs.get(next);
    for (const { dependents } of content.whole?.fresh ?? content.resources) {
      for (const name of dependents) {
        if (sub?.wants(name)) sub.answers.add(name);
        if (next === 'eds') this.#awaitingEndpoints.set(name, now);
      }
    }
  }

  /** Some type could be sent if its step lets it. */
  #waiting(): boolean {
    for (const sub of this.#subs.values()) if (sub.pending && !sub.inFlight) return true;
    return false;
  }

  #rest(): void {
    this.#blocked.clearAll();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** Something waits for a step that is not over: look again when the step's limit has passed. */
  #wake(now: number): void {
    const { due } = this.#blocked;
    if (due === undefined || this.#closed) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      return;
    }
    this.#cancelTimer ??= this.#o.clock.after(Math.max(0, due - now), () => {
      this.#cancelTimer = undefined;
      this.pump();
    });
  }
}
