// The words of `migrate plan`: what is known of both sides of a move, and what is found in it. Plain data; who gathers
// it reads clocks and sockets, nothing here does. Times are milliseconds since the epoch.
import type { LoadRow } from '../load.ts';
import type { Verdict } from '../ping.ts';
import type { ProxyStatus } from '../proxies.ts';
import type { ServiceShards, SourceState } from '../snapshot.ts';
import type { LeftOut } from '../left-out.ts';

/** `blocker`: starting would fail callers, or never end. `warning`: look at it first. `note`: good to know. */
export type Severity = 'blocker' | 'warning' | 'note';

/** What was seen on one side, and who said so; '' where there is nothing to say. */
export interface Seen {
  readonly what: string;
  /** A source, `pings`, `load reports`, `proxies`, `config`, or who set it. */
  readonly by: string;
}

export interface Finding {
  /** Stable, such as `port-missing`; docs/migrate-plan.md lists all. */
  readonly code: FindingCode;
  readonly severity: Severity;
  /** In words, without the sides. */
  readonly title: string;
  readonly from: Seen;
  readonly to: Seen;
  /** What to do about it. */
  readonly todo: string;
}

export const FINDING_CODES = [
  'service-missing',
  'source-dark',
  'source-syncing',
  'none-ready',
  'capacity',
  'weights-differ',
  'not-steady',
  'overridden',
  'port-missing',
  'port-new',
  'port-differs',
  'protocol-differs',
  'protocol-unsaid',
  'health-path-differs',
  'version-missing',
  'version-differs',
  'labels-differ',
  'network-differs',
  'shared-endpoints',
  'other-service',
  'unproven',
  'unreachable',
  'identity-conflict',
  'policy-isolates',
  'policy-overridden',
  'already-running',
  'nobody-calls',
  'gate-never-met',
  'gate-waits',
  'callers-unseen',
  'requests-unseen',
  'services-without-proxy',
] as const;

export type FindingCode = (typeof FINDING_CODES)[number];

/** What one ping said, or why none was sent. */
export type PingSaid = { readonly verdict: Verdict; readonly cause: string } | { readonly notAsked: string };

/** What a migration would ask for before each step; from its resource, or the defaults. */
export interface GatesAsked {
  /** Ready weight on `to` ÷ (percent × ready weight on `from`). */
  readonly readyCapacity: number;
  readonly successRate: { readonly windowMs: number; readonly minRequests: number } | undefined;
  /** See MigrationGates: `proven` counts only endpoints that answered in the service's name as capacity. */
  readonly identity: 'permissive' | 'strict' | 'proven';
  /** Percent of the traffic, ascending. */
  readonly steps: readonly number[];
}

/** A migration of the same service that is not over. */
export interface RunningMigration {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** In words, such as `running, 10 %`. */
  readonly state: string;
}

export interface ReadinessFacts {
  /** Canonical. */
  readonly service: string;
  readonly from: string;
  readonly to: string;
  /** undefined: no source names the service. */
  readonly slice: ServiceShards | undefined;
  readonly sources: ReadonlyMap<string, SourceState>;
  readonly leftOut: readonly LeftOut[];
  /** Who says what the service's policy is. */
  readonly policyOrigin: string;
  /** By endpointKey(): of endpoints of both sides. One that is not there was not asked. */
  readonly pings: ReadonlyMap<string, PingSaid>;
  readonly proxies: readonly ProxyStatus[];
  /** node.id of those that have a stream of load reports open. */
  readonly reporters: ReadonlySet<string>;
  /** Per node, of the service and of `inbound` clusters, within `windowMs`. */
  readonly load: readonly LoadRow[];
  readonly windowMs: number;
  /** Canonical names of all services with endpoints. */
  readonly services: readonly string[];
  readonly gates: GatesAsked;
  readonly running: RunningMigration | undefined;
  /** Under way or over: the policy is the migration's. */
  readonly hasMigration: boolean;
}

export interface SidePort {
  /** As the source names it; '' is the unnamed one. */
  readonly name: string;
  /** What the port is called when both sides are merged. */
  readonly mergedName: string;
  readonly primary: boolean;
  /** That callers name; 0: the source has none. */
  readonly number: number;
  readonly protocol: string;
  /** Where endpoints really listen, ascending. */
  readonly endpointPorts: readonly number[];
  readonly ready: number;
}

/** What one side is like. Counts are of endpoints of the primary port. */
export interface SideSummary {
  readonly source: string;
  readonly kind: string;
  readonly state: 'live' | 'stale' | 'syncing' | 'unknown';
  readonly staleSince: number | undefined;
  readonly cause: string;
  /** False: the source does not name the service. */
  readonly listed: boolean;
  readonly endpoints: number;
  readonly ready: number;
  readonly readyWeight: number;
  /** Ready, and answered a ping in the service's name, or is offered by its own sidecar. */
  readonly proven: number;
  readonly provenWeight: number;
  readonly ports: readonly SidePort[];
  /** Distinct, sorted; '' where an endpoint says none. */
  readonly healthPaths: readonly string[];
  readonly versions: readonly string[];
  readonly networks: readonly string[];
  readonly weights: readonly number[];
  /** Names of labels that all endpoints of the side have. */
  readonly labels: readonly string[];
  readonly pings: Readonly<Record<'proven' | 'unproven' | 'refused' | 'otherService' | 'notAsked', number>>;
}

/** A data plane that calls the service, as far as it tells. */
export interface Caller {
  readonly node: string;
  /** '' when it does not say. */
  readonly service: string;
  readonly kind: ProxyStatus['kind'] | '';
  readonly requests: number;
  /** Of them to `from`; null: the endpoints of both sides are one pool, nobody can tell. */
  readonly toFrom: number | null;
  readonly lastReport: number;
}

export interface Readiness {
  readonly service: string;
  readonly from: string;
  readonly to: string;
  /** No blocker. */
  readonly ready: boolean;
  /** 0 … 100: below 50 exactly when there is a blocker. */
  readonly score: number;
  readonly sides: { readonly from: SideSummary; readonly to: SideSummary };
  readonly callers: readonly Caller[];
  /** Blockers first. */
  readonly findings: readonly Finding[];
  /** What could not be known, in words. */
  readonly unknown: readonly string[];
}
