// The open xDS calls: joins each gRPC call to its stream logic and keeps faults apart. A bad request, or a
// bug met while serving one stream, ends that stream and nothing else; whatever way a call ends, its
// subscriptions, its share of a group and its timer go with it.
import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { callStatus, statusOf } from './call-status.ts';
import type { Changes } from './dialect.ts';
import type { Groups } from './groups.ts';
import type { ClientNode } from './node.ts';
import { clientsOf, proxiesOf } from './proxies.ts';
import type { ClientState } from './stream/inspect.ts';
import type { AnyRequest, Protocol } from './stream/protocol.ts';

import { XdsStream } from './stream/stream.ts';
import type { Gate } from './stream/stream.ts';
import type { ResourceType } from './types.ts';
import type { View } from './view.ts';
import type { ResponseWriter } from './wire/response.ts';

export type Call = ServerDuplexStream<Buffer, Buffer>;

export interface ConnectionsOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly groups: Groups;
  readonly writer: ResponseWriter;
  gate(): Gate;
}

export class Connections {
  readonly #o: ConnectionsOptions;
  readonly #open = new Set<Connection>();
  /** Tells the streams of this process from those of the one before: nonces never survive their stream. */
  readonly #run = randomBytes(3).toString('hex');
  #count = 0;

  constructor(options: ConnectionsOptions) {
    this.#o = options;
  }

  /** @param only the type of all its messages; undefined on ADS. */
  open<R extends AnyRequest>(protocol: Protocol<R>, call: Call, only: ResourceType | undefined): void {
    this.#count += 1;
    const id = `${this.#run}-${this.#count.toString(36)}`;
    const connection: Connection = new Connection(this.#o, protocol, { call, only, id }, () => {
      this.#open.delete(connection);
      this.#o.metrics.xds.clients.set(this.#open.size);
    });
    this.#open.add(connection);
    this.#o.metrics.xds.clients.set(this.#open.size);
  }

  touch(changes: Changes): void {
    for (const connection of this.#open) connection.touch(changes);
  }

  pump(): void {
    for (const connection of this.#open) connection.pump();
  }

  /** Whether some client named it. */
  wants(type: ResourceType, name: string): boolean {
    for (const connection of this.#open) if (connection.wants(type, name)) return true;
    return false;
  }

  /** Ends every call, so that clients come back elsewhere or later. */
  endAll(code: status, details: string): void {
    for (const connection of this.#open) connection.end(code, details);
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

class Connection {
  readonly #o: ConnectionsOptions;
  readonly #call: Call;
  readonly #stream: Pick<XdsStream, 'receive' | 'pump' | 'touch' | 'wants' | 'status' | 'inspect' | 'close'>;
  readonly #onOver: () => void;
  #leave: () => void = () => undefined;
  #over = false;
  /** The only type of its messages; undefined on ADS. */
  readonly only: ResourceType | undefined;
  view: View | undefined;
  /** node.id; undefined before the first message. */
  node: string | undefined;

  constructor(
    options: ConnectionsOptions,
    protocol: Protocol<AnyRequest>,
    { call, only, id }: { readonly call: Call; readonly only: ResourceType | undefined; readonly id: string },
    onOver: () => void,
  ) {
    this.only = only;
    this.#o = options;
    this.#call = call;
    this.#onOver = onOver;
    const { log, clock } = options;
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
      send: (bytes) => void call.write(bytes),
      onRefused: (node, type, error, resources) =>
        log.warn({ node: node.id, type, resources, error }, 'xDS client refused a response'),
      onOverdue: (node, step) =>
        log.warn({ node: node.id, step }, 'xDS client does not acknowledge; going on without'),
    });
    call.on('data', (bytes: Buffer) => this.#guard(() => this.#stream.receive(bytes)));
    call.on('end', () => {
      this.#forget();
      call.end();
    });
    call.on('error', (error: Error) => {
      log.debug({ error: error.message }, 'xDS stream broke');
      this.#forget();
    });
    call.on('cancelled', () => this.#forget());
    call.on('close', () => this.#forget());
  }

  touch(changes: Changes): void {
    const own = this.view?.changed(changes);
    if (own && own.size > 0) this.#guard(() => this.#stream.touch(own));
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
    this.#o.log.info({ node: node.id, kind: node.kind, protocol }, 'xDS client connected');
    return view;
  }

  #forget(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver();
    this.#stream.close();
    this.#leave();
  }
}
