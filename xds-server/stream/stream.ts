// One xDS stream. A request comes in at receive(), which finds the subscription that it is for: one of the ordered
// types (ordered.ts) or one that is asked for by name alone (../named). pump() lets both decide what is due; #send()
// is the only way out. Knows neither gRPC nor registries; bytes in, bytes out.
import type { Clock } from '../../lib/clock.ts';
import type { ProxyStatus } from '../../model/proxies.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ChangeSet } from '../dialect.ts';
import { readNode } from '../node.ts';
import type { ClientNode } from '../node.ts';
import type { NamedSource } from '../named/resources.ts';
import { NamedSubscriptions } from '../named/subscriptions.ts';
import { namedTypeOf, resourceTypeOf } from '../types.ts';
import type { AnyType, NamedType, ResourceType } from '../types.ts';
import type { View } from '../view.ts';
import { withoutExtensions } from '../wire/node.ts';
import type { ResponseWriter } from '../wire/response.ts';
import type { Step } from './blocked.ts';
import { REQUEST_INVALID, readRequest, settleType } from './incoming.ts';
import { standsBeside } from './inspect.ts';
import type { ClientState } from './inspect.ts';
import type { Interested } from './interest.ts';
import { OrderedSubscriptions } from './ordered.ts';
import type { AnyRequest, Outgoing, Protocol } from './protocol.ts';
import type { StreamSide } from './side.ts';
import type { Change } from './subscription.ts';

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
  readonly interested?: (type: ResourceType) => Interested & { leave(): void };
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

/** Requests kept while the gate is shut; an honest client sends a handful before its first answer. */
const MAX_EARLY = 1_000;
/** The same in bytes: two first messages of incremental clients, of the largest size. */
const MAX_EARLY_BYTES = 64 * 1024 * 1024;

export class XdsStream<R extends AnyRequest = AnyRequest> {
  readonly #o: StreamOptions<R>;
  readonly #ordered: OrderedSubscriptions<R>;
  readonly #named: NamedSubscriptions;
  readonly #connectedSince: number;
  #client: { readonly node: ClientNode; readonly bytes: Buffer; readonly view: View } | undefined;
  /** Requests that came before the gate opened; answered then, from complete state. */
  #early: R[] = [];
  #earlyBytes = 0;
  #nonce = 0;
  #closed = false;

  constructor(options: StreamOptions<R>) {
    const { clock, protocol, interested, named } = options;
    this.#o = options;
    this.#connectedSince = clock.now();
    const side = this.#side();
    this.#ordered = new OrderedSubscriptions({ protocol, clock, side, interested });
    this.#named = new NamedSubscriptions({ variant: protocol.name, source: named, clock, side });
  }

  /** Throws an error that ends the stream; its text goes to the client. */
  receive(bytes: Uint8Array): void {
    const request = readRequest(this.#o.protocol, bytes);
    this.#client ??= this.#identify(request);
    settleType(request, this.#o.only);
    if (this.#o.gate() === 'waiting') this.#keep(request, bytes.length);
    else this.#apply(request, this.#client.view);
    this.pump();
  }

  /** What changed for the client's group; sent as the plan allows. */
  touch(changes: ChangeSet): void {
    this.mark(changes);
    this.pump();
  }

  /** The same, to be sent at the next pump(). */
  mark(changes: ChangeSet): void {
    if (this.#client) this.#ordered.mark(changes, this.#client.view);
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
    this.#ordered.look(client.view, view);
  }

  /** Sends everything that may be sent now. Called after anything that could allow more. */
  pump(): void {
    const client = this.#client;
    const gate = this.#o.gate();
    if (this.#closed || !client || gate === 'waiting') return;
    if (this.#early.length > 0) {
      this.#earlyBytes = 0;
      for (const request of this.#early.splice(0)) this.#apply(request, client.view);
    }
    const onlyAdd = gate !== 'open';
    if (!onlyAdd) this.#ordered.release();
    this.#named.pump(onlyAdd);
    this.#ordered.pump(client.view, onlyAdd);
  }

  /** Whether the client named it. */
  wants(type: ResourceType, name: string): boolean {
    return this.#ordered.wants(type, name);
  }

  status(): ProxyStatus | undefined {
    if (!this.#client) return undefined;
    const { node, view } = this.#client;
    return {
      node: node.id,
      service: node.service,
      kind: node.kind,
      version: node.version,
      connectedSince: this.#connectedSince,
      types: { ...this.#ordered.status(view), ...this.#named.status() },
    };
  }

  /** Resource by resource; undefined before the client said who it is. */
  inspect(): Omit<ClientState, 'scope'> | undefined {
    if (!this.#client) return undefined;
    const { node, bytes, view } = this.#client;
    return {
      id: node.id,
      dialect: node.group.dialect,
      inbounds: standsBeside(node.group),
      node: bytes,
      types: [...this.#ordered.inspect(view), ...this.#named.inspect()],
    };
  }

  /** What would be told if the node were told of other services. */
  differences(next: View): readonly Change[] {
    return this.#client ? this.#ordered.differences(this.#client.view, next) : [];
  }

  close(): void {
    this.#closed = true;
    this.#early = [];
    this.#ordered.close();
  }

  #keep(request: R, bytes: number): void {
    this.#earlyBytes += bytes;
    if (this.#early.length === MAX_EARLY) throw REQUEST_INVALID(`more than ${MAX_EARLY} before an answer`);
    if (this.#earlyBytes > MAX_EARLY_BYTES) {
      throw REQUEST_INVALID(`more than ${MAX_EARLY_BYTES} bytes before an answer`);
    }
    this.#early.push(request);
  }

  #identify(request: R) {
    const bytes = request.node ?? new Uint8Array();
    const node = readNode(bytes); // T5
    return { node, bytes: withoutExtensions(bytes), view: this.#o.join(node) };
  }

  #apply(request: R, view: View): void {
    const ordered = resourceTypeOf(request.typeUrl);
    if (ordered) return this.#ordered.receive(ordered, request, view);
    const named = namedTypeOf(request.typeUrl);
    if (named) this.#named.receive(named, request);
    else this.#o.metrics.xds.unknownTypes.inc(); // T6: neither answered nor ended
  }

  /** What its subscriptions may do with it. */
  #side(): StreamSide {
    const { clock, metrics } = this.#o;
    return {
      free: () => this.#o.free?.() ?? true,
      send: (type, content) => this.#send(type, content),
      onAnswered: (sentAt) => metrics.xds.ack.observe((clock.monotonic() - sentAt) / 1000),
      onNacked: (type) => metrics.xds.rejects.inc({ type }),
      onRefused: (type, error, resources) => {
        metrics.xds.refusedResources.inc({ type }, resources.length);
        if (this.#client) this.#o.onRefused(this.#client.node, type, error, resources);
      },
      onOverdue: (step) => {
        if (this.#client) this.#o.onOverdue(this.#client.node, step);
      },
      again: () => this.pump(),
    };
  }

  /** @returns its nonce. */
  #send(type: AnyType, content: Outgoing): string {
    this.#nonce += 1;
    const nonce = `${this.#o.id}.${this.#nonce}`;
    this.#o.metrics.xds.pushes.inc({ type });
    this.#o.send(this.#o.protocol.write(this.#o.writer, type, nonce, content));
    return nonce;
  }
}
