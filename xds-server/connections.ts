// The open xDS calls: who is let in, who is told of a change, and in which order they end. Each is a Connection.
import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { ProxyStatus } from '../model/proxies.ts';
import { callStatus } from './call-status.ts';
import { Connection } from './connection.ts';
import type { Call, ConnectionOptions } from './connection.ts';
import type { Changes } from './dialect.ts';
import { Admission } from './flow/admission.ts';
import { Ring } from './flow/ring.ts';
import type { ScopeRules } from './groups.ts';
import type { PreviewedChange } from './preview.ts';
import { clientsOf, proxiesOf } from './proxies.ts';
import type { Caller } from './security/caller.ts';
import type { ClientState } from './stream/inspect.ts';
import { Interest } from './stream/interest.ts';
import type { AnyRequest, Protocol } from './stream/protocol.ts';
import type { AnyType, NamedType, ResourceType } from './types.ts';
import type { View } from './view.ts';

export class Connections {
  readonly #o: ConnectionOptions;
  readonly #open = new Set<Connection>();
  /** Tells the streams of this process from those of the one before: nonces never survive their stream. */
  readonly #run = randomBytes(3).toString('hex');
  readonly #admission: Admission;
  readonly #ring = new Ring<Connection>((connection) => connection.pump());
  readonly #interest = new Interest<Connection>();
  /** Came while nobody was answered; each lets its connection begin. */
  readonly #early = new Map<Connection, () => void>();
  #count = 0;
  #cancelSweep: (() => void) | undefined;
  #closing = false;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    this.#admission = new Admission(options.limits, options.clock);
  }

  /** @param only the type of all its messages; undefined on ADS. */
  open<R extends AnyRequest>(
    protocol: Protocol<R>,
    call: Call,
    only: AnyType | undefined,
    caller: Caller,
  ): void {
    const enter = () => this.#enter(protocol, call, only, caller);
    const { maxStreams } = this.#o.limits;
    if (this.#closing) return refuse(call, status.UNAVAILABLE, STOPPING);
    if (maxStreams > 0 && this.#open.size >= maxStreams) return this.#tooMany(call);
    call.on('error', ignore);
    // While nobody is answered nothing is under way, so there is nothing to bound: that comes when the gate opens.
    if (this.#o.gate() === 'waiting') return enter();
    // Not read until it is let in: what the client says waits in its own buffers.
    const leave = this.#admission.ask(enter, () => this.#tooMany(call));
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

  #enter<R extends AnyRequest>(
    protocol: Protocol<R>,
    call: Call,
    only: AnyType | undefined,
    caller: Caller,
  ): void {
    const held = this.#o.gate() === 'waiting';
    let share = held ? undefined : this.#admission.reserve();
    const settle = (firstBytes: number) => {
      if (share === undefined) return;
      const settled = share;
      share = undefined;
      this.#admission.settled(settled, firstBytes);
      this.#showWaiting();
    };
    let leave: () => void = () => undefined;
    this.#count += 1;
    const id = `${this.#run}-${this.#count.toString(36)}`;
    const connection: Connection = new Connection(this.#o, protocol, {
      call,
      caller,
      only,
      id,
      held,
      onStarted: settle,
      interested: (type) => this.#interest.of(type, connection),
      onOver: () => {
        this.#open.delete(connection);
        this.#ring.drop(connection);
        this.#early.delete(connection);
        leave();
        settle(0);
        if (this.#open.size === 0) this.#restSweep();
        this.#o.metrics.xds.clients.set(this.#open.size);
      },
    });
    if (held) {
      const begin = () => {
        share = this.#admission.reserve();
        connection.begin();
        this.#ring.run([connection]);
      };
      this.#early.set(connection, () => (leave = this.#admission.askPatiently(begin)));
    }
    this.#sweepLater();
    this.#open.add(connection);
    this.#o.metrics.xds.clients.set(this.#open.size);
  }

  touch(changes: Changes): void {
    this.#o.groups.update(changes);
    const touched: Connection[] = [];
    for (const connection of this.#interest.in(this.#o.groups.changesOf(changes))) {
      if (connection.mark(changes)) touched.push(connection);
    }
    this.#ring.run(touched);
  }

  /** These changed of a type that is asked for by name alone. */
  touchNamed(type: NamedType, names: ReadonlySet<string>): void {
    if (names.size === 0) return;
    this.#ring.run([...this.#open].filter((connection) => connection.markNamed(type, names)));
  }

  pump(): void {
    this.#ring.run(this.#open);
    if (this.#o.gate() === 'waiting') return;
    const early = [...this.#early.values()];
    this.#early.clear();
    for (const letIn of early) letIn();
    this.#showWaiting();
  }

  /** What nodes are told of was decided anew. */
  rescope(): void {
    const touched: Connection[] = [];
    for (const connection of this.#open) if (connection.rescope()) touched.push(connection);
    this.#ring.run(touched);
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

  /** What these rules would tell whom, in place of those that are in force. */
  previewScopes(rules: ScopeRules): readonly PreviewedChange[] {
    const viewOf = this.#o.groups.glimpse();
    return [...this.#open].flatMap((connection) =>
      connection.differences(rules, viewOf).map((change) => ({ ...change, proxies: 1 })),
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
/** Between the ends of two streams, on average, when the server stops. */
const SPREAD_MS = 5;
export const STOPPING = 'the control plane is stopping';
const ignore = (): void => undefined;

function refuse(call: Call, code: status, details: string): void {
  call.on('error', ignore);
  call.emit('error', callStatus(code, details));
}
