// Endpoints under a source's config: which take part, with which labels, at which address. Pure. A service
// left without endpoints stays known, and empty.
import type { Shaping } from '../config/shaping.ts';
import { addressBytes, contains, formatAddress, moveInto, parseCidr } from '../lib/cidr.ts';
import type { Cidr } from '../lib/cidr.ts';
import { compareEndpoints, endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Labels } from '../model/endpoint.ts';
import { OWNER_LABEL } from '../model/sidecars.ts';
import { wildcard } from './wildcard.ts';

/** The label under which adapters keep a registry's tags, joined by commas. */
const TAGS = 'tags';

export interface EndpointShape {
  (group: EndpointGroup): EndpointGroup;
  /** The field of the config that leaves it out, such as `exclude.labels.env` or `writeTo`; undefined when it takes part. */
  readonly leftOutBy?: (endpoint: Endpoint) => string | undefined;
}

/** @param marks see SourceDeps. */
export function endpointShape(config: Shaping, marks: ReadonlySet<string>): EndpointShape {
  const leftOutBy = endpointFilter(config, marks);
  const relabel = labelMapping(config.labels);
  const move = addressMapping(config.addresses);
  if (!leftOutBy && !relabel && !move) return (group) => group;
  const shape = (group: EndpointGroup): EndpointGroup => {
    let endpoints = group.endpoints;
    if (leftOutBy) endpoints = endpoints.filter((endpoint) => leftOutBy(endpoint) === undefined);
    if (relabel) endpoints = endpoints.map((e) => ({ ...e, labels: relabel(e.labels) }));
    if (move) endpoints = unique(endpoints.map((e) => ({ ...e, address: move(e.address) })));
    return { ...group, endpoints };
  };
  return leftOutBy ? Object.assign(shape, { leftOutBy }) : shape;
}

interface Rule {
  readonly field: string;
  /** True for labels that this rule leaves out. */
  readonly leavesOut: (labels: Labels) => boolean;
}

function endpointFilter(
  { include, exclude }: Shaping,
  marks: ReadonlySet<string>,
): EndpointShape['leftOutBy'] {
  const not = (test: (labels: Labels) => boolean) => (labels: Labels) => !test(labels);
  const own = { field: 'writeTo', leavesOut: (labels: Labels) => marks.has(labels[OWNER_LABEL] ?? '') };
  const rules: readonly Rule[] = [
    ...(marks.size > 0 ? [own] : []),
    ...include.tags.map((tag) => ({ field: 'include.tags', leavesOut: not(tagTest(tag)) })),
    ...Object.entries(include.labels).map((label) => ({
      field: `include.labels.${label[0]}`,
      leavesOut: not(labelTest(label)),
    })),
    ...exclude.tags.map((tag) => ({ field: 'exclude.tags', leavesOut: tagTest(tag) })),
    ...Object.entries(exclude.labels).map((label) => ({
      field: `exclude.labels.${label[0]}`,
      leavesOut: labelTest(label),
    })),
  ];
  if (rules.length === 0) return undefined;
  return ({ labels }) => rules.find(({ leavesOut }) => leavesOut(labels))?.field;
}

function tagTest(pattern: string): (labels: Labels) => boolean {
  const expression = wildcard(pattern);
  return (labels) => (labels[TAGS] ?? '').split(',').some((tag) => tag !== '' && expression.test(tag));
}

function labelTest([name, pattern]: readonly [string, string]): (labels: Labels) => boolean {
  const expression = wildcard(pattern);
  return (labels) => {
    const value = labels[name];
    return value !== undefined && expression.test(value);
  };
}

/** A label that is not there gives no new one. */
function labelMapping(names: Shaping['labels']): ((labels: Labels) => Labels) | undefined {
  const rules = Object.entries(names);
  if (rules.length === 0) return undefined;
  return (labels) => {
    const copied = rules.flatMap(([to, from]) => {
      const value = labels[from];
      return value === undefined ? [] : [[to, value] as const];
    });
    return copied.length === 0 ? labels : { ...labels, ...Object.fromEntries(copied) };
  };
}

function addressMapping(rules: Shaping['addresses']): ((address: string) => string) | undefined {
  const ranges = rules.map(({ from, to }) => ({ from: rangeOf(from), to: rangeOf(to) }));
  if (ranges.length === 0) return undefined;
  return (address) => {
    const bytes = addressBytes(address);
    const rule = bytes && ranges.find(({ from }) => contains(from, bytes));
    return rule ? formatAddress(moveInto(rule.to, bytes)) : address;
  };
}

/** The config was checked already. */
function rangeOf(text: string): Cidr {
  const parsed = parseCidr(text);
  if ('fault' in parsed) throw new TypeError(`${text}: expected ${parsed.fault}`);
  return parsed.cidr;
}

/** Two addresses moved onto one are one endpoint: the one that was first. */
function unique(endpoints: readonly Endpoint[]): Endpoint[] {
  const byKey = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.portName}|${endpointKey(endpoint)}`;
    if (!byKey.has(key)) byKey.set(key, endpoint);
  }
  return [...byKey.values()].sort(compareEndpoints);
}
