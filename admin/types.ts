// The JSON that scripts may rely on, from the HTTP API and `-o json` alike. Fields may be added, never
// renamed. Times are RFC 3339, durations seconds, shares 0…1; lists travel as { items: [...] }.
import type { Cause } from '../model/change.ts';
import type { Health, Labels, Locality } from '../model/endpoint.ts';
import type { LeftOut } from '../model/left-out.ts';
import type { Emptiness } from '../model/merge/emptiness.ts';
import type { WeightFactor } from '../model/merge/types.ts';
import type { ProxyStatus, ProxyTypeState } from '../model/proxies.ts';
import type { MergePolicy, ServiceRules } from '../model/rules.ts';
import type { DoubtCause } from '../model/shard.ts';
import type { SourceCondition } from '../model/snapshot.ts';

export interface Items<T> {
  readonly items: readonly T[];
}

export interface SourceJson {
  readonly name: string;
  readonly kind: string;
  readonly state: SourceCondition;
  /** null before the first good answer. */
  readonly lastSuccess: string | null;
  /** 0 while it is not stale. */
  readonly staleSeconds: number;
  /** Why it is stale or still syncing; '' while live. */
  readonly cause: string;
  /** The replica that watches it; null when this one is alone. */
  readonly watcher: string | null;
  readonly services: number;
  readonly endpoints: number;
  /** Of the endpoints: those that the source does not vouch for now, because it is dark or no longer lists them. */
  readonly held: number;
  /** Of those held: the ones that get traffic only when others cannot take it. */
  readonly doubted: number;
}

export interface ServiceJson {
  /** Canonical `name.namespace`. */
  readonly service: string;
  readonly name: string;
  readonly namespace: string;
  readonly aliases: readonly string[];
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
  readonly sources: readonly { readonly name: string; readonly endpoints: number; readonly ready: number }[];
  readonly policy: MergePolicy['kind'];
  readonly endpoints: number;
  /** Endpoints that may get new traffic by what their sources say. */
  readonly ready: number;
  /** Why none is ready beyond doubt; null when one is. */
  readonly emptiness: Emptiness | null;
  /** Addresses that other services claim, too. */
  readonly conflicts: readonly { readonly address: string; readonly services: readonly string[] }[];
}

export interface EndpointJson {
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly portName: string;
  readonly network: string;
  readonly state: 'live' | 'held' | 'quarantined' | 'drained';
  readonly health: Health;
  readonly weight: number;
  /** Of the traffic to this port of the service. */
  readonly share: number;
  /** 0 is best; null for one that no caller gets. */
  readonly priority: number | null;
  /** The source whose share it uses; '' in a service without shares. */
  readonly side: string;
  /** Who vouches for it; the first gave the attributes. */
  readonly sources: readonly string[];
  readonly labels: Labels;
  readonly locality: Locality;
  /** When the state began; null when that is not known. */
  readonly since: string | null;
  /** Why it is in this state, in words. */
  readonly reason: string;
}

/**
 * One thing that is so about an endpoint, and who said so. `live` its source answers and lists it · `dark` its
 * source does not answer · `doubted` its source no longer lists it, or has been dark for longer than its hold ·
 * `expired` its hold is over and it stays as the last one · `quarantined` it answered as another service ·
 * `drained` by an operator, or by `onLost: drain` · `leaving` its registry means it to go · `failing` its
 * registry's checks · `damped` it flaps · `warming-up` it is new · `overridden` an operator set its weight or
 * labels · `conflict` another service claims its address · `no-share` the policy gives it nothing while others
 * can serve · `left-out` by `include` or `exclude` of its source · `gone` its source took it back, or its hold
 * ended.
 */
export type Fact =
  | 'live'
  | 'dark'
  | 'doubted'
  | 'expired'
  | 'quarantined'
  | 'drained'
  | 'leaving'
  | 'failing'
  | 'damped'
  | 'warming-up'
  | 'overridden'
  | 'conflict'
  | 'proven'
  | 'answering'
  | 'silent'
  | 'no-share'
  | 'left-out'
  | 'gone';

export interface FactJson {
  readonly is: Fact;
  /** null: not known. */
  readonly since: string | null;
  /** When it ends if nothing else happens; null: not known, or never. */
  readonly until: string | null;
  /** A source, a service, or who set it; '' when nobody said so. */
  readonly by: string;
  readonly why: string;
}

/** What one source says of an endpoint. */
export interface WitnessJson {
  readonly source: string;
  readonly state: SourceCondition;
  /** Since when it says exactly this; null when that is not known. */
  readonly since: string | null;
  /** Whether its word counts; if not, a better placed witness speaks (docs/merge.md, rule 3). */
  readonly heard: boolean;
  readonly health: Health;
  readonly weight: number;
  readonly labels: Labels;
  readonly locality: Locality;
  /** What callers get by its word: of `health`, `weight`, `labels`, `locality`, `share`. */
  readonly gives: readonly string[];
}

/** Of `explain SERVICE ADDRESS`, one for each port (of an isolated service: and source) that it is in. */
export interface EndpointExplanationJson extends EndpointJson {
  /**
   * `in`: it gets its share · `reserve`: only when others cannot take it · `failing` · `draining`: it keeps its
   * connections, and gets nothing new · `out`: no caller knows it.
   */
  readonly verdict: 'in' | 'reserve' | 'failing' | 'draining' | 'out';
  /** The strongest first. */
  readonly facts: readonly FactJson[];
  /** In the order of the config. */
  readonly witnesses: readonly WitnessJson[];
  /** Their product is `weight`. */
  readonly factors: readonly WeightFactor[];
}

/** What a source's `include` and `exclude` keep out; see model/left-out.ts. */
export type LeftOutJson = LeftOut;

/**
 * `/api/v1/services/NAME/explain?address=ADDRESS`. One of both lists is not empty; an address of which nothing
 * is known is a 404 that names the closest one.
 */
export interface AddressExplanationJson {
  readonly service: string;
  /** As asked, with its port. */
  readonly address: string;
  readonly endpoints: readonly EndpointExplanationJson[];
  /** Why no caller knows it though a source says, or said, something of it: `left-out` and `gone`. */
  readonly absent: readonly FactJson[];
}

/** What one source contributes to a service. */
export interface ContributionJson {
  readonly name: string;
  readonly kind: string;
  readonly state: SourceCondition;
  /** Since when it is dark; null while it is not. */
  readonly since: string | null;
  readonly cause: string;
  readonly endpoints: number;
  readonly ready: number;
  readonly doubted: number;
  /** Of the traffic to the service's primary port: endpoints whose attributes, or side, are its own. */
  readonly share: number;
}

/** Endpoints that share a port, a priority and a side. */
export interface PlaceJson {
  readonly port: string;
  /** null: withheld, no caller gets them. */
  readonly priority: number | null;
  readonly side: string;
  readonly endpoints: number;
  readonly ready: number;
  readonly share: number;
}

/** `/api/v1/services/NAME/explain` */
export interface ServiceExplanationJson {
  readonly service: string;
  readonly aliases: readonly string[];
  /** `origin`: `default`, the config's `merge`, or the ServicePolicy that says so, with file and line. */
  readonly policy: MergePolicy & { readonly origin: string };
  readonly identity: ServiceRules['identity'];
  /** Why none is ready beyond doubt (docs/merge.md, rule 8); null when one is. */
  readonly emptiness: { readonly cause: Emptiness; readonly why: string } | null;
  readonly sources: readonly ContributionJson[];
  readonly places: readonly PlaceJson[];
  readonly leftOut: readonly LeftOutJson[];
  readonly endpoints: readonly EndpointExplanationJson[];
}

export interface ProxyTypeJson {
  readonly state: ProxyTypeState;
  readonly version: string;
  readonly error: string;
  readonly resource: string;
  readonly refused?: readonly { readonly resource: string; readonly error: string }[];
  /** Asked for by name, and not there; 20 at most. */
  readonly absent?: readonly string[];
}

export interface ProxyJson extends Omit<ProxyStatus, 'connectedSince' | 'types'> {
  readonly connectedSince: string;
  readonly types: Readonly<Record<string, ProxyTypeJson>>;
}

/** A row of `/api/v1/load`: requests to one locality of a cluster within the window. */
export interface LoadJson {
  readonly service: string;
  readonly cluster: string;
  /** The source they went to; '' where the endpoints of several are one pool. */
  readonly side: string;
  readonly locality: Locality;
  /** '' in a sum over nodes. */
  readonly node: string;
  readonly reporters: number;
  readonly successes: number;
  readonly errors: number;
  /** Begun, ended or not. */
  readonly issued: number;
  /** Thrown away by the data plane; told per cluster, in a row without locality. */
  readonly dropped: number;
  /** Under way at the last report. */
  readonly inProgress: number;
  /** 0 … 1; null: none ended. */
  readonly successRate: number | null;
  /** null: nothing to divide by. */
  readonly requestsPerSecond: number | null;
  /** For how much of the window there are reports. */
  readonly coveredSeconds: number;
  readonly lastReport: string;
  /** How long requests took, to the head of the answer; null: no data plane told. */
  readonly latency: LatencyJson | null;
}

export interface LatencyJson {
  readonly p50Seconds: number;
  readonly p99Seconds: number;
  /** Requests that were timed. */
  readonly samples: number;
  /** Data planes that told. */
  readonly reporters: number;
}

export interface OverrideJson {
  /** Canonical `name.namespace`. */
  readonly service: string;
  /** `10.0.0.1:80`, `[::1]:80`, `NETWORK/10.0.0.1:80`. */
  readonly address: string;
  readonly drain: boolean;
  /** null: that of the registry. */
  readonly weight: number | null;
  /** Beside and in place of the sources'. */
  readonly labels: Labels;
  readonly since: string;
  readonly until: string;
  readonly remainingSeconds: number;
  readonly reason: string;
  /** Who set it, as far as is known. */
  readonly by: string;
  /** Of what is set; `If-Match: "REVISION"` changes it only while it is still this. The same on all replicas. */
  readonly revision: string;
}

export interface OverrideSetJson extends OverrideJson {
  /** What the operator should know, in words. */
  readonly notes: readonly string[];
}

export interface OverrideRemovedJson {
  readonly service: string;
  readonly address: string;
  /** null: nothing was set. */
  readonly removed: OverrideJson | null;
  readonly notes: readonly string[];
}

/** A resource such as a ServicePolicy. */
export interface ResourceJson {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly origin: 'file' | 'api';
  /** FILE:LINE; '' when it came over the API. */
  readonly file: string;
  /** When it was applied; null for one in a file. */
  readonly since: string | null;
  /** Who applied it, as far as is known. */
  readonly by: string;
  /** `If-Match: "REVISION"` changes it only while it is still this. '' for one in a file. */
  readonly revision: string;
  /** Why it does not count, or what it names that is not there; '' when all is well. */
  readonly problem: string;
  /** As it was written: apiVersion, kind, metadata, spec. */
  readonly resource: unknown;
}

export interface ResourceAppliedJson {
  readonly outcome: 'created' | 'configured' | 'unchanged';
  /** null: another replica deleted it in the same instant. */
  readonly resource: ResourceJson | null;
  readonly notes: readonly string[];
}

export interface ResourceDeletedJson {
  readonly removed: ResourceJson;
  readonly notes: readonly string[];
}

/** A resource that other rules would change. */
export interface PreviewJson {
  readonly type: string;
  readonly name: string;
  readonly change: 'added' | 'changed' | 'removed';
  /** Connected clients that it concerns. */
  readonly proxies: number;
}

export interface ErrorJson {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string };
}

/** What the catalogue had of an endpoint of one source. */
export interface EndpointWordJson {
  readonly address: string;
  readonly port: number;
  readonly portName: string;
  readonly network: string;
  readonly health: Health;
  readonly weight: number;
  readonly labels: Labels;
  readonly locality: Locality;
  readonly doubted: { readonly since: string; readonly cause: DoubtCause } | null;
  readonly quarantined: { readonly since: string; readonly answeredAs: string } | null;
  readonly expired: { readonly since: string } | null;
  readonly proven: { readonly since: string } | null;
  /** Factors of the weight, 0 … 1. */
  readonly damping: number;
  readonly warmUp: number;
}

/** A line of the journal. */
export interface ChangeJson {
  readonly time: string;
  /** '' when an operator or the config did it. */
  readonly source: string;
  /** '' when it is about the source as a whole. */
  readonly service: string;
  /** [NETWORK/]ADDRESS:PORT; null when it is about no single endpoint. */
  readonly endpoint: string | null;
  readonly change: 'added' | 'changed' | 'removed' | 'note';
  readonly before: EndpointWordJson | null;
  readonly after: EndpointWordJson | null;
  readonly note: string;
  readonly cause: Cause;
}

/** One source's word on one endpoint at a moment. */
export interface PastEndpointJson {
  /** '' for what an operator had set for an endpoint that no source listed. */
  readonly source: string;
  /** null: the source had no endpoint, or the journal does not reach back so far; `note` says which. */
  readonly endpoint: EndpointWordJson | null;
  /** What an operator had set for it by hand, which counts before the source's word; null: nothing. */
  readonly override: {
    readonly drain: boolean;
    readonly weight: number | null;
    readonly labels: Labels;
    readonly since: string | null;
    readonly until: string;
    readonly reason: string;
    readonly by: string;
  } | null;
  readonly note: string;
}
