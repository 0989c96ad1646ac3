// The open xDS calls: joins each gRPC call to its stream logic and keeps faults apart. A bad request, or a
// bug met while serving one stream, ends that stream and nothing else; whatever way a call ends, its
// subscriptions, its share of a group and its timer go with it.
import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { Departure, SidecarDoor } from '../model/sidecars.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { callStatus, statusOf } from './call-status.ts';
import type { Changes } from './dialect.ts';
import type { Groups } from './groups.ts';
import type { ClientNode } from './node.ts';
import { Admission } from './flow/admission.ts';
import type { FlowLimits } from './flow/limits.ts';
import { Outlet } from './flow/outlet.ts';
import { Ring } from './flow/ring.ts';
import { clientsOf, proxiesOf } from './proxies.ts';
import type { ClientState } from './stream/inspect.ts';
import type { AnyRequest, Protocol } from './stream/protocol.ts';

import { XdsStream } from './stream/stream.ts';
import type { Gate } from './stream/stream.ts';
import type { ResourceType } from './types.ts';
import type { View } from './view.ts';
import type { ResponseWriter } from './wire/response.ts';

/** Metadata of a call: what a sidecar shows to be let in. */
const TOKEN = 'isthmus-token';

export type Call = ServerDuplexStream<Buffer, Buffer>;

export interface ConnectionsOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly groups: Groups;
  readonly writer: ResponseWriter;
  readonly limits: FlowLimits;
  gate(): Gate;
  /** Told of data planes that stand beside a service. */
  readonly onSidecar: SidecarDoor;
}

export class Connections {
  readonly #o: ConnectionsOptions;
  readonly #open = new Set<Connection>();
  /** Tells the streams of this process from those of the one before: nonces never survive their stream. */
  readonly #run = randomBytes(3).toString('hex');
  readonly #admission: Admission;
  readonly #ring = new Ring<Connection>((connection) => connection.pump());
  #count = 0;
  #cancelSweep: (() => void) | undefined;
  #closing = false;

  constructor(options: ConnectionsOptions) {
    this.#o = options;
    this.#admission = new Admission(options.limits, options.clock);
  }

  /** @param only the type of all its messages; undefined on ADS. */
  open<R extends AnyRequest>(protocol: Protocol<R>, call: Call, only: ResourceType | undefined): void {
    const { maxStreams } = this.#o.limits;
    if (this.#closing) return refuse(call, status.UNAVAILABLE, STOPPING);
    if (maxStreams > 0 && this.#open.size >= maxStreams) return this.#tooMany(call);
    // Not read until it is let in: what the client says waits in its own buffers.
    call.on('error', ignore);
    const leave = this.#admission.ask(
      () => this.#enter(protocol, call, only),
      () => this.#tooMany(call),
    );
    const gone = () => {
      leave();
      this.#showWaiting();
    };
    call.on('cancelled', gone);
    call.on('close', gone);
    this.#showWaiting();
  }

  #tooMany(call: Call): void {
    this.#o.metrics.xds.streamErrors.inc({ code: status[status.RESOURCE_EXHAUSTED] });
    this.#showWaiting();
    refuse(call, status.RESOURCE_EXHAUSTED, 'too many clients begin at once; come back later');
  }

  #enter<R extends AnyRequest>(protocol: Protocol<R>, call: Call, only: ResourceType | undefined): void {
    const share = this.#admission.reserve();
    let starting = true;
    const settle = (firstBytes: number) => {
      if (!starting) return;
      starting = false;
      this.#admission.settled(share, firstBytes);
      this.#showWaiting();
    };
    this.#count += 1;
    const id = `${this.#run}-${this.#count.toString(36)}`;
    const connection: Connection = new Connection(this.#o, protocol, {
      call,
      only,
      id,
      onStarted: settle,
      onOver: () => {
        this.#open.delete(connection);
        this.#ring.drop(connection);
        settle(0);
        if (this.#open.size === 0) this.#restSweep();
        this.#o.metrics.xds.clients.set(this.#open.size);
      },
    });
    this.#sweepLater();
    this.#open.add(connection);
    this.#o.metrics.xds.clients.set(this.#open.size);
  }

  touch(changes: Changes): void {
    const touched: Connection[] = [];
    for (const connection of this.#open) if (connection.mark(changes)) touched.push(connection);
    this.#ring.run(touched);
  }

  pump(): void {
    this.#ring.run(this.#open);
  }

  /** One timer for all streams: those that take nothing (F3), and those that are old enough (F6). */
  #sweepLater(): void {
    this.#cancelSweep ??= this.#o.clock.after(SWEEP_MS, () => {
      this.#cancelSweep = undefined;
      for (const connection of this.#open) connection.sweep();
      if (this.#open.size > 0) this.#sweepLater();
    });
  }

  #restSweep(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #showWaiting(): void {
    this.#o.metrics.xds.waiting.set(this.#admission.waiting);
  }

  /** Whether some client named it. */
  wants(type: ResourceType, name: string): boolean {
    for (const connection of this.#open) if (connection.wants(type, name)) return true;
    return false;
  }

  /**
   * F8: ends every call, so that clients come back elsewhere or later, spread over a while so that they do not
   * all come to the next replica at once. New ones are sent away. Resolves when all have ended.
   * @param withinMs at most; few streams take less.
   */
  async endAll(code: status, details: string, withinMs: number): Promise<void> {
    this.#closing = true;
    this.#admission.close();
    const all = [...this.#open];
    const spreadMs = Math.min(withinMs, all.length * SPREAD_MS);
    const { clock } = this.#o;
    const began = clock.monotonic();
    for (const [index, connection] of all.entries()) {
      const due = (spreadMs * index) / all.length;
      if (due > clock.monotonic() - began) {
        await new Promise<void>((resolve) => void clock.after(due - (clock.monotonic() - began), resolve));
      }
      connection.end(code, details);
    }
    this.#restSweep();
  }

  /** One per client, sorted by node, then by age. */
  proxies(): ProxyStatus[] {
    return proxiesOf(
      [...this.#open].flatMap((connection) => {
        const status = connection.status();
        return status ? { status, only: connection.only } : [];
      }),
    );
  }

  /** What every client holds. */
  inspect(): readonly ClientState[] {
    return clientsOf(
      [...this.#open].flatMap((connection) => {
        const state = connection.inspect();
        return state ? { state, only: connection.only } : [];
      }),
    );
  }

  /** What a node may see, and what became of it. */
  clientOf(node: string): { readonly view: View; readonly state: ClientState } | undefined {
    const own = [...this.#open].filter((connection) => connection.node === node);
    const view = own.find((connection) => connection.view)?.view;
    const [state] = clientsOf(
      own.flatMap((connection) => {
        const of = connection.inspect();
        return of ? { state: of, only: connection.only } : [];
      }),
    );
    return view && state && { view, state };
  }
}

const SWEEP_MS = 1_000;
/** A client that has just come counts as such no longer than this. */
const START_MS = 2_000;
/** Between the ends of two streams, on average, when the server stops. */
const SPREAD_MS = 5;
export const STOPPING = 'the control plane is stopping';
const ignore = (): void => undefined;

function refuse(call: Call, code: status, details: string): void {
  call.on('error', ignore);
  call.emit('error', callStatus(code, details));
}

interface Opened {
  readonly call: Call;
  readonly only: ResourceType | undefined;
  readonly id: string;
  /** The client took the first message, of so many bytes. */
  readonly onStarted: (firstBytes: number) => void;
  readonly onOver: () => void;
}

class Connection {
  readonly #o: ConnectionsOptions;
  readonly #call: Call;
  readonly #outlet: Outlet;
  /** Monotonic ms at which it is old enough. */
  readonly #oldAt: number;
  readonly #stream: Pick<XdsStream, 'receive' | 'pump' | 'mark' | 'wants' | 'status' | 'inspect' | 'close'>;
  readonly #onOver: () => void;
  readonly #onStarted: (firstBytes: number) => void;
  /** Monotonic ms of its begin. */
  readonly #since: number;
  #leave: () => void = () => undefined;
  #depart: (how: Departure) => void = () => undefined;
  #over = false;
  /** The only type of its messages; undefined on ADS. */
  readonly only: ResourceType | undefined;
  view: View | undefined;
  /** node.id; undefined before the first message. */
  node: string | undefined;

  constructor(
    options: ConnectionsOptions,
    protocol: Protocol<AnyRequest>,
    { call, only, id, onStarted, onOver }: Opened,
  ) {
    this.only = only;
    this.#o = options;
    this.#call = call;
    this.#onOver = onOver;
    this.#onStarted = onStarted;
    this.#since = options.clock.monotonic();
    const { log, clock, limits } = options;
    // After the GOAWAY, which comes within 10 % of the age, and before the end of its grace.
    const age = limits.maxConnectionAgeMs;
    this.#oldAt = age === 0 ? Infinity : clock.monotonic() + age * (1.15 + Math.random() / 10);
    this.#outlet = new Outlet(
      call,
      () => clock.monotonic(),
      () => {
        onStarted(this.#outlet.firstBytes);
        this.pump();
      },
    );
    this.#stream = new XdsStream({
      id,
      protocol,
      only,
      writer: options.writer,
      clock: {
        now: () => clock.now(),
        monotonic: () => clock.monotonic(),
        after: (ms, fn) => clock.after(ms, () => this.#guard(fn)),
      },
      metrics: options.metrics,
      gate: () => options.gate(),
      join: (node) => this.#join(node, protocol.name),
      send: (bytes) => this.#outlet.send(bytes),
      free: () => this.#outlet.free,
      onRefused: (node, type, error, resources) =>
        log.warn({ node: node.id, type, resources, error }, 'xDS client refused a response'),
      onOverdue: (node, step) =>
        log.warn({ node: node.id, step }, 'xDS client does not acknowledge; going on without'),
    });
    call.on('data', (bytes: Buffer) => this.#guard(() => this.#stream.receive(bytes)));
    call.on('end', () => {
      this.#forget('ended');
      call.end();
    });
    call.on('error', (error: Error) => {
      log.debug({ error: error.message }, 'xDS stream broke');
      this.#forget();
    });
    call.on('cancelled', () => this.#forget());
    call.on('close', () => this.#forget());
  }

  /** True when something changed for it, which the next pump() sends. */
  mark(changes: Changes): boolean {
    const own = this.view?.changed(changes);
    if (!own || own.size === 0) return false;
    this.#guard(() => this.#stream.mark(own));
    return true;
  }

  sweep(): void {
    const { clock, limits, log, metrics } = this.#o;
    // One that says nothing, or takes nothing, must not keep others out.
    if (clock.monotonic() - this.#since >= START_MS) this.#onStarted(0);
    if (this.#outlet.stalledMs >= limits.slowReaderMs) {
      metrics.xds.slowReaders.inc();
      log.warn(
        { node: this.status()?.node, bytes: this.#outlet.unsent },
        'xDS client takes nothing; cut off',
      );
      this.#forget();
      this.#outlet.cut();
    } else if (clock.monotonic() >= this.#oldAt) {
      this.end(status.UNAVAILABLE, 'old enough: come again, to whoever has room');
    }
  }

  pump(): void {
    this.#guard(() => this.#stream.pump());
  }

  wants(type: ResourceType, name: string): boolean {
    return this.#stream.wants(type, name);
  }

  status(): ProxyStatus | undefined {
    return this.#stream.status();
  }

  inspect(): ClientState | undefined {
    return this.#stream.inspect();
  }

  end(code: status, details: string): void {
    if (this.#over) return;
    this.#forget();
    this.#call.emit('error', callStatus(code, details));
  }

  /** What goes wrong here stays here. */
  #guard(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (thrown) {
      const { code, details } = statusOf(thrown);
      this.#o.metrics.xds.streamErrors.inc({ code: status[code] });
      this.#o.log.warn({ error: describeError(thrown) }, 'xDS stream ended');
      this.end(code, details);
    }
  }

  #join(node: ClientNode, protocol: string): View {
    const { view, leave } = this.#o.groups.join(node.group);
    this.view = view;
    this.node = node.id;
    this.#leave = leave;
    if (node.registration) {
      const [token] = this.#call.metadata.get(TOKEN);
      this.#depart = this.#o.onSidecar({
        node: node.id,
        peer: addressOf(this.#call.getPeer()),
        token: typeof token === 'string' ? token : '',
        registration: node.registration,
      });
    }
    this.#o.log.info({ node: node.id, kind: node.kind, protocol }, 'xDS client connected');
    return view;
  }

  #forget(how: Departure = 'broken'): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver();
    this.#stream.close();
    this.#leave();
    this.#depart(how);
  }
}

/** Without its port; an IPv4 address as such, also where it came in by a dual-stack socket. */
function addressOf(peer: string): string {
  const address = peer.slice(0, peer.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
