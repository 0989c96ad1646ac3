// The JSON that scripts may rely on, from the HTTP API and `-o json` alike. Fields may be added, never
// renamed. Times are RFC 3339, durations seconds, shares 0…1; lists travel as { items: [...] }.
import type { Cause } from '../model/change.ts';
import type { Health, Labels, Locality } from '../model/endpoint.ts';
import type { Emptiness } from '../model/merge/emptiness.ts';
import type { ProxyStatus, ProxyTypeState } from '../model/proxies.ts';
import type { MergePolicy } from '../model/rules.ts';
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

export interface ProxyTypeJson {
  readonly state: ProxyTypeState;
  readonly version: string;
  readonly error: string;
  readonly resource: string;
}

export interface ProxyJson extends Omit<ProxyStatus, 'connectedSince' | 'types'> {
  readonly connectedSince: string;
  readonly types: Readonly<Record<string, ProxyTypeJson>>;
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
  readonly source: string;
  /** null: the source had no endpoint, or the journal does not reach back so far; `note` says which. */
  readonly endpoint: EndpointWordJson | null;
  readonly note: string;
}
