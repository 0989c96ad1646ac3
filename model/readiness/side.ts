// One side of a move: the endpoints that its source vouches for, as the merge sees them, and what they are like. Pure.
import { endpointKey, isReady } from '../endpoint.ts';
import { mergeShards } from '../merge.ts';
import { mergedPortName } from '../merge/port-drafts.ts';
import { witnessesIn } from '../merge/ports.ts';
import type { MergedEndpoint, MergedPort } from '../merge/types.ts';
import type { Witness } from '../merge/witnesses.ts';
import { HEALTH_PATH_LABEL } from '../sidecars.ts';
import type { ServiceShards } from '../snapshot.ts';
import type { PingSaid, ReadinessFacts, SidePort, SideSummary } from './types.ts';

/** The source that sidecars register with: what is in it has answered in its own name. */
const SIDECAR_KIND = 'sidecar';

/** An endpoint of a side, with everything that decides about it. */
export interface SideEndpoint {
  readonly endpoint: MergedEndpoint;
  /** Of its pings: endpointKey(). */
  readonly key: string;
  readonly protocol: string;
  readonly primary: boolean;
  /** Answered a ping as another service, now or before. */
  readonly answeredAs: string | undefined;
  /** Ready beyond doubt. */
  readonly ready: boolean;
  readonly proven: boolean;
  readonly healthPath: string;
}

export interface Side {
  readonly summary: SideSummary;
  readonly endpoints: readonly SideEndpoint[];
}

/** Both sources in one pool, whatever the policy says: a move asks what there is, not who gets traffic now. */
export function pooled(slice: ServiceShards): ServiceShards {
  return { ...slice, rules: { ...slice.rules, policy: { kind: 'union' }, pin: false } };
}

export function sideOf(source: string, facts: ReadinessFacts): Side {
  const { slice, sources, pings } = facts;
  const endpoints = slice ? endpointsOf(source, slice, facts) : [];
  const state = sources.get(source);
  const primary = endpoints.filter((each) => each.primary);
  const ready = primary.filter((each) => each.ready);
  const proven = ready.filter((each) => each.proven);
  const shard = slice?.shards.get(source);
  return {
    endpoints,
    summary: {
      source,
      kind: state?.kind ?? '',
      state: state?.state ?? 'unknown',
      staleSince: state?.staleSince,
      cause: state?.cause ?? '',
      listed: shard !== undefined,
      endpoints: primary.length,
      ready: ready.length,
      readyWeight: weightOf(ready),
      proven: proven.length,
      provenWeight: weightOf(proven),
      ports: portsOf(source, slice, endpoints),
      healthPaths: distinct(primary.map(({ healthPath }) => healthPath)),
      versions: distinct(primary.map(({ endpoint }) => endpoint.labels['version'] ?? '')),
      networks: distinct(primary.map(({ endpoint }) => endpoint.network)),
      weights: [...new Set(ready.map(({ endpoint }) => endpoint.weight))].sort((a, b) => a - b),
      labels: commonLabels(primary),
      pings: pingCounts(primary, pings),
    },
  };
}

const weightOf = (endpoints: readonly SideEndpoint[]): number =>
  endpoints.reduce((sum, { endpoint }) => sum + endpoint.weight, 0);

const distinct = (texts: readonly string[]): readonly string[] => [...new Set(texts)].sort();

function endpointsOf(source: string, slice: ServiceShards, facts: ReadinessFacts): readonly SideEndpoint[] {
  const all = pooled(slice);
  const merged = mergeShards(all);
  const witnesses = witnessesIn(all);
  return merged.ports.flatMap((port) =>
    [...port.endpoints, ...port.withheld]
      .filter(({ sources }) => sources.includes(source))
      .map((endpoint) =>
        sideEndpoint(endpoint, port, merged.primaryPort, {
          source,
          facts,
          witnesses: witnesses(port.name, endpointKey(endpoint)),
        }),
      ),
  );
}

function sideEndpoint(
  endpoint: MergedEndpoint,
  port: MergedPort,
  primaryPort: string,
  around: { source: string; facts: ReadinessFacts; witnesses: readonly Witness[] },
): SideEndpoint {
  const { source, facts, witnesses } = around;
  const { verdict } = endpoint;
  const key = endpointKey(endpoint);
  const said = facts.pings.get(key);
  const answer = said && 'verdict' in said ? said.verdict : undefined;
  const answeredAs = answer?.kind === 'answeredAs' ? answer.service : verdict.quarantined?.answeredAs;
  const own = witnesses.find((witness) => witness.source === source);
  const bySidecar = endpoint.sources.some((name) => facts.sources.get(name)?.kind === SIDECAR_KIND);
  return {
    endpoint,
    key,
    protocol: port.protocol,
    primary: port.name === primaryPort,
    answeredAs,
    ready: isReady(endpoint) && !verdict.doubted && answeredAs === undefined,
    proven: bySidecar || answer?.kind === 'alive' || witnesses.some(({ mark }) => mark.proven !== undefined),
    healthPath: own?.endpoint.labels[HEALTH_PATH_LABEL] ?? endpoint.labels[HEALTH_PATH_LABEL] ?? '',
  };
}

function portsOf(
  source: string,
  slice: ServiceShards | undefined,
  endpoints: readonly SideEndpoint[],
): readonly SidePort[] {
  const group = slice?.shards.get(source)?.group;
  if (!slice || !group) return [];
  const { primaryPort } = mergeShards(pooled(slice));
  return group.ports.map(({ name, port, protocol }) => {
    const mergedName = mergedPortName(name, source, group.primaryPort, primaryPort);
    const own = endpoints.filter(({ endpoint }) => endpoint.portName === mergedName);
    return {
      name,
      mergedName,
      primary: name === group.primaryPort,
      number: port,
      protocol,
      endpointPorts: [...new Set(own.map(({ endpoint }) => endpoint.port))].sort((a, b) => a - b),
      ready: own.filter(({ ready }) => ready).length,
    };
  });
}

function commonLabels(endpoints: readonly SideEndpoint[]): readonly string[] {
  const [first, ...rest] = endpoints.map(({ endpoint }) => endpoint.labels);
  return Object.keys(first ?? {})
    .filter((name) => rest.every((labels) => Object.hasOwn(labels, name)))
    .sort();
}

function pingCounts(
  endpoints: readonly SideEndpoint[],
  pings: ReadonlyMap<string, PingSaid>,
): SideSummary['pings'] {
  const counts = { proven: 0, unproven: 0, refused: 0, otherService: 0, notAsked: 0 };
  for (const { key, answeredAs } of endpoints) {
    const said = pings.get(key);
    const kind = said && 'verdict' in said ? said.verdict.kind : undefined;
    if (answeredAs !== undefined) counts.otherService += 1;
    else if (kind === 'alive') counts.proven += 1;
    else if (kind === 'unproven') counts.unproven += 1;
    else if (kind === 'refused') counts.refused += 1;
    else counts.notAsked += 1;
  }
  return counts;
}
