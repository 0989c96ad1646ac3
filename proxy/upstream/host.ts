// One host of a cluster: its connections (idle ones last in, first out) and its counters. It outlives
// changes of weight and status; once removed, what is in flight finishes and nothing is kept.
import type { UpstreamHost } from '../tables.ts';
import { UpstreamConnection } from './connection.ts';
import type { ConnectionOwner, ResponseSink, UpstreamOptions } from './connection.ts';

export class Host implements ConnectionOwner {
  readonly key: string;
  /** Monotonic time at which it was first seen healthy; its slow start begins there. */
  healthySinceMs = Number.POSITIVE_INFINITY;
  readonly #idle: UpstreamConnection[] = [];
  readonly #options: UpstreamOptions;
  /** Attributes as of the last update. */
  spec: UpstreamHost;
  removed = false;
  /** Connections in any state. */
  open = 0;
  requests = 0;
  active = 0;
  connectFailures = 0;
  /** Index: status ÷ 100. 0: no response. */
  readonly byClass = new Float64Array(6);

  constructor(spec: UpstreamHost, options: UpstreamOptions) {
    this.spec = spec;
    this.key = hostKey(spec);
    this.#options = options;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** The connection used last, if any is idle. */
  take(sink: ResponseSink): UpstreamConnection | undefined {
    const connection = this.#idle.pop();
    connection?.reuse(sink);
    return connection;
  }

  /** A new one; the sink hears onConnect or onFailure, never before this returns. Throws on a bad address. */
  connect(connectTimeoutMs: number, sink: ResponseSink): UpstreamConnection {
    const { address, port } = this.spec;
    const connection = new UpstreamConnection(address, port, connectTimeoutMs, this, this.#options, sink);
    this.open += 1;
    return connection;
  }

  release(connection: UpstreamConnection): void {
    if (this.removed || this.#idle.length >= this.#options.maxIdlePerHost) return connection.destroy();
    this.#idle.push(connection);
    connection.rest();
  }

  closed(connection: UpstreamConnection): void {
    this.open -= 1;
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** The host left its cluster. */
  remove(): void {
    this.removed = true;
    this.closeIdle();
  }

  closeIdle(): void {
    while (this.#idle.length > 0) this.#idle.pop()?.destroy();
  }
}

export function hostKey(spec: UpstreamHost): string {
  return spec.address.includes(':') ? `[${spec.address}]:${spec.port}` : `${spec.address}:${spec.port}`;
}
