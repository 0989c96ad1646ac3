// What the proxy's data path runs on: plain immutable tables, compiled when xDS changes (proxy/xds) and
// swapped as a whole, read per request (proxy/http). Nothing here waits or allocates per request.
import type { Balancing, SubsetPairs } from './balancers/types.ts';
import type { Gradient } from './filters/gradient.ts';
import type { Chain } from './filters/types.ts';
import type { HealthRules } from './health/rules.ts';
import type { UpgradeRules } from './http/upgrade.ts';
import type { RequestKey } from './keys.ts';
import type { RequestIdRules } from './observe/request-id.ts';
import type { AccessLogRule } from './observe/rules.ts';
import type { TracingRules } from './observe/tracer.ts';
import type { Route } from './route.ts';
import type { Spoken } from './sniff/protocol.ts';
import type { AdmissionRules } from './upstream/admission.ts';
import type { BreakerRules } from './upstream/breaker.ts';
import type { OutlierRules } from './upstream/outlier.ts';
import type { PoolRules } from './upstream/pool-rules.ts';

/** An endpoint that may get traffic. */
export interface UpstreamHost {
  /** IPv4 or IPv6 address. */
  readonly address: string;
  readonly port: number;
  /** ≥ 1. */
  readonly weight: number;
  /**
   * `draining` and `unhealthy` hosts get no new requests, unless their priority is in panic; their connections
   * finish.
   */
  readonly status: 'available' | 'degraded' | 'unhealthy' | 'draining';
  /** 0 is the best. Default 0. */
  readonly priority?: number;
  readonly locality?: HostLocality;
  /** '' or absent: none. */
  readonly hostname?: string;
  /** Metadata `envoy.lb`, for subsets. */
  readonly labels?: SubsetPairs;
  /** Where and whether it is actively checked, if not as its cluster says. */
  readonly check?: HostCheck;
}

export interface HostCheck {
  readonly disabled?: boolean;
  /** Default: the host's own. */
  readonly address?: string;
  readonly port?: number;
  /** Host of the check. */
  readonly host?: string;
}

export interface HostLocality {
  /** Region, zone and sub-zone as one text. */
  readonly name: string;
  /** Among the localities of its priority; 0 when not given. */
  readonly weight: number;
}

/** What one ClusterLoadAssignment says. */
export interface Assignment {
  readonly hosts: readonly UpstreamHost[];
  /** Percent. Default 140. */
  readonly overprovisioning?: number;
  /** A priority's health is a part of its weight, not of its number of hosts. Default false. */
  readonly weightedHealth?: boolean;
}

export interface Cluster extends Assignment {
  readonly name: string;
  readonly connectTimeoutMs: number;
  /** Default: DEFAULT_BALANCING. */
  readonly balancing?: Balancing;
  /** By routing priority: default, high. Default: DEFAULT_BREAKER for both. */
  readonly breakers?: readonly [BreakerRules, BreakerRules];
  /** Absent: no request is refused because others failed. */
  readonly admission?: AdmissionRules;
  /** Absent: hosts are never ejected. */
  readonly outlier?: OutlierRules;
  /** Default: DEFAULT_POOL. */
  readonly pool?: PoolRules;
  /** Absent: hosts are not asked how they are. */
  readonly health?: HealthRules;
  /** A host that leaves the assignment stays until its check fails. Default false. */
  readonly keepsHealthy?: boolean;
}

export interface RouteTable {
  /** undefined: nothing matches; the answer is 404 and names what was asked for. */
  lookup(request: RequestKey): Route | undefined;
}

interface ListenAddress {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** 'outbound' | 'inbound'; only for logs and metrics. */
  readonly direction: string;
}

export interface HttpListenerTable extends ListenAddress {
  readonly routes: RouteTable;
  /** Default: DEFAULT_HTTP. */
  readonly http?: HttpRules;
  /** Only some of its connections are HTTP. */
  readonly sniff?: SniffRules;
}

/** Which of a listener's connections are HTTP, and what becomes of the others. */
export interface SniffRules {
  /** What goes to the listener's HTTP. */
  readonly http: ReadonlySet<Spoken>;
  /** What is passed on as bytes; in neither: closed. */
  readonly others: ReadonlySet<Spoken>;
  readonly tcp: TcpTable | undefined;
  /** How long a client may say too little to tell; 0: for ever. */
  readonly timeoutMs: number;
  /** After that it counts as one that does not speak HTTP; false: it is closed. */
  readonly goOn: boolean;
}

/** What the connection manager of a listener says. Times: 0 is off. */
export interface HttpRules {
  readonly chain: Chain;
  /** No byte in either direction within this. */
  readonly idleMs: number;
  /** From the head to the end of a request. */
  readonly requestMs: number;
  readonly maxStreamMs: number;
  /** A connection without a request; undefined: the data plane's default. */
  readonly clientIdleMs?: number;
  /** From the first byte to the end of a head; undefined: the data plane's default. */
  readonly headMs?: number;
  /** Fields that the head of a request may have; undefined: 100. */
  readonly maxFields?: number;
  /** Body bytes that are kept for a retry or a mirror. */
  readonly bufferBytes: number;
  /** Sends x-envoy-upstream-service-time and x-envoy-expected-rq-timeout-ms. */
  readonly envoyHeaders: boolean;
  /** A deadline that the caller's data plane sent is the timeout, if its address is one to trust. */
  readonly heedDeadline: boolean;
  /** Absent: every request to leave HTTP is refused. */
  readonly upgrades?: UpgradeRules;
  /** Absent: nobody is. */
  readonly trusts?: (address: string) => boolean;
  /** Absent: x-request-id passes as it comes. */
  readonly requestIds?: RequestIdRules;
  readonly tracing?: TracingRules;
  readonly logs?: readonly AccessLogRule[];
  /** Of the filter that bounds requests in flight, for statistics. */
  readonly gradient?: Gradient;
  /** Under which statistics stand. Default: the listener's name. */
  readonly statPrefix?: string;
}

/** Where a connection may go. */
export interface TcpTarget {
  /** Name of the cluster; without such a cluster the connection is closed. */
  readonly cluster: string;
  /** ≥ 0; a target's part of the sum, which is > 0. */
  readonly weight: number;
  /** Name of the subset that metadata_match asks for; '' is none. */
  readonly subset: string;
}

/** How connections are passed on as bytes. */
export interface TcpTable {
  /** At least one. */
  readonly targets: readonly TcpTarget[];
  /** Closed after this without a byte in either direction; 0 is off. */
  readonly idleMs: number;
  /** Closed after this, whatever happens; 0 is off. */
  readonly maxMs: number;
  /** Hosts tried until one can be reached, ≥ 1. */
  readonly connectAttempts: number;
  /** The client's address chooses the host, where the balancer hashes. */
  readonly hashClient: boolean;
  readonly logs?: readonly AccessLogRule[];
  /** Under which statistics stand. Default: the listener's name. */
  readonly statPrefix?: string;
}

export interface TcpListenerTable extends ListenAddress {
  readonly tcp: TcpTable;
}

export type ListenerTable = HttpListenerTable | TcpListenerTable;

export interface ProxyTables {
  readonly listeners: ReadonlyMap<string, ListenerTable>;
  readonly clusters: ReadonlyMap<string, Cluster>;
}

export const EMPTY_TABLES: ProxyTables = { listeners: new Map(), clusters: new Map() };
