// What a source says, cut to size by its config: which services and endpoints take part, and under which
// names, labels and addresses. Stands between any adapter and the aggregator, so that no adapter knows of
// it. Never drops a `sync`, a `gone` or a `stale`, and reads no clock and no socket.
import type { Shaping } from '../config/shaping.ts';
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import type { Endpoint, EndpointGroup } from '../model/endpoint.ts';
import { mergeShards } from '../model/merge.ts';
import { compareEndpoints } from '../model/endpoint.ts';
import { plainSlice } from '../model/snapshot.ts';
import { foundLeftOut } from './left-out.ts';
import type { LeftOutBook } from './left-out.ts';
import { endpointShape } from './shape-endpoints.ts';
import { serviceShape } from './shape-names.ts';

const NONE: ReadonlySet<string> = new Set();

/**
 * The same source, shaped; itself when nothing is to be shaped. @param leftOut told of what takes no part.
 * @param marks see SourceDeps.
 */
export function shaped(
  discoverer: Discoverer,
  config: Shaping,
  leftOut?: LeftOutBook,
  marks: ReadonlySet<string> = NONE,
): Discoverer {
  if (marks.size === 0 && !shapes(config)) return discoverer;
  const { source, kind } = discoverer;
  return {
    source,
    kind,
    async *discover(signal) {
      const shaper = createShaper(config, leftOut && { book: leftOut, source }, marks);
      for await (const update of discoverer.discover(signal)) {
        const seen = shaper(update);
        if (seen) yield seen;
      }
    },
  };
}

/**
 * One run of a source: give it each update in order. undefined: about a service that takes no part, so there
 * is nothing to tell. What it tells of a service depends on the last word on it alone, not on its path there.
 */
export function createShaper(
  config: Shaping,
  leftOut?: { readonly book: LeftOutBook; readonly source: string },
  marks: ReadonlySet<string> = NONE,
): (update: DiscoveryUpdate) => DiscoveryUpdate | undefined {
  const names = serviceShape(config);
  const endpoints = endpointShape(config, marks);
  /** By new name: what each of the old names that became it offers. */
  const united = new Map<string, Map<string, EndpointGroup>>();

  const note = (group: EndpointGroup, service: string | undefined) => {
    if (!leftOut) return;
    const whole = names.leftOutBy(group.service);
    const by = whole === undefined ? endpoints.leftOutBy : () => whole;
    const found = by ? foundLeftOut(service ?? group.service, group.endpoints, by) : [];
    leftOut.book.set(leftOut.source, group.service, found);
  };
  /** The new name, or undefined when the service takes no part. */
  const keep = (group: EndpointGroup): string | undefined => {
    const service = names.nameOf(group.service);
    note(group, service);
    if (service === undefined) return undefined;
    const members = united.get(service) ?? new Map<string, EndpointGroup>();
    united.set(service, members.set(group.service, endpoints(names.named(group, service))));
    return service;
  };
  return (update) => {
    switch (update.type) {
      case 'sync': {
        united.clear();
        leftOut?.book.clear(leftOut.source);
        for (const group of update.groups) keep(group);
        return { type: 'sync', groups: [...united].map(([service, members]) => unite(service, members)) };
      }
      case 'group': {
        const service = keep(update.group);
        return service === undefined ? undefined : told(service, united, update.intended);
      }
      case 'gone': {
        leftOut?.book.set(leftOut.source, update.service, []);
        const service = names.nameOf(update.service);
        if (service === undefined) return undefined;
        united.get(service)?.delete(update.service);
        return told(service, united, update.intended);
      }
      case 'stale':
      case 'alive':
        return update;
    }
  };
}

function told(
  service: string,
  united: Map<string, Map<string, EndpointGroup>>,
  meant: true | undefined,
): DiscoveryUpdate {
  const members = united.get(service);
  const intended = meant ? { intended: meant } : {};
  if (members && members.size > 0) return { type: 'group', group: unite(service, members), ...intended };
  united.delete(service);
  return { type: 'gone', service, ...intended };
}

/** Several services under one name are merged as several sources are, in the order of their old names. */
function unite(service: string, members: ReadonlyMap<string, EndpointGroup>): EndpointGroup {
  const [only] = members.values();
  if (only && members.size === 1) return only;
  const groups = new Map([...members].sort(([a], [b]) => (a < b ? -1 : 1)));
  const merged = mergeShards(plainSlice(service, groups));
  return {
    service,
    aliases: merged.aliases,
    ports: merged.ports.map(({ name, port, protocol }) => ({ name, port, protocol })),
    primaryPort: merged.primaryPort,
    endpoints: merged.ports
      .flatMap((port) => port.endpoints)
      .map(plain)
      .sort(compareEndpoints),
  };
}

/** Without the witnesses, which are services here. Required: a field that is new must not be lost here. */
function plain({ address, port, portName, network, hostname, ...said }: Endpoint): Endpoint {
  const { health, weight, labels, locality } = said;
  const all: Required<Omit<Endpoint, 'hostname'>> = {
    address,
    port,
    portName,
    network,
    health,
    weight,
    labels,
    locality,
  };
  return hostname === undefined ? all : { ...all, hostname };
}

function shapes({ include, exclude, rename, aliases, labels, addresses }: Shaping): boolean {
  const any = (...tables: readonly object[]) => tables.some((table) => Object.keys(table).length > 0);
  const all = [...include.services, ...include.namespaces].every((pattern) => pattern === '*');
  return (
    !all ||
    any(include.tags, include.labels, rename, aliases, labels, addresses) ||
    any(exclude.services, exclude.namespaces, exclude.tags, exclude.labels)
  );
}
