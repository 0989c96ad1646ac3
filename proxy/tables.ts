// What the proxy's data path runs on: plain immutable tables, compiled when xDS changes (proxy/xds) and
// swapped as a whole, read per request (proxy/http). Nothing here waits or allocates per request.

/** An endpoint that may get traffic. */
export interface UpstreamHost {
  /** IPv4 or IPv6 address. */
  readonly address: string;
  readonly port: number;
  /** ≥ 1. */
  readonly weight: number;
  /** `draining` and `unhealthy` hosts get no new requests but their connections finish. */
  readonly status: 'available' | 'degraded' | 'unhealthy' | 'draining';
}

export interface Cluster {
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly hosts: readonly UpstreamHost[];
}

export interface Route {
  /** Name of the cluster; one that is not in the table answers 503. */
  readonly cluster: string;
  /** Whole request; 0 is off. */
  readonly timeoutMs: number;
  /** How many further hosts are tried when a connection cannot be had. */
  readonly connectRetries: number;
}

/** The parts of a request that routing reads. Header names are lower case. */
export interface RequestKey {
  /** As sent, lower case, with its port if it has one. */
  readonly authority: string;
  readonly path: string;
  /** '' when absent. */
  header(name: string): string;
}

export interface RouteTable {
  /** undefined: nothing matches; the answer is 404 and names what was asked for. */
  lookup(request: RequestKey): Route | undefined;
}

export interface ListenerTable {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** 'outbound' | 'inbound'; only for logs and metrics. */
  readonly direction: string;
  readonly routes: RouteTable;
}

export interface ProxyTables {
  readonly listeners: ReadonlyMap<string, ListenerTable>;
  readonly clusters: ReadonlyMap<string, Cluster>;
}

export const EMPTY_TABLES: ProxyTables = { listeners: new Map(), clusters: new Map() };
