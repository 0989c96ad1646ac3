// Endpoints under a source's config: which take part, with which labels, at which address. Pure. A service
// left without endpoints stays known, and empty.
import type { Shaping } from '../config/shaping.ts';
import { addressBytes, contains, formatAddress, moveInto, parseCidr } from '../lib/cidr.ts';
import type { Cidr } from '../lib/cidr.ts';
import { compareEndpoints, endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Labels } from '../model/endpoint.ts';
import { wildcard } from './wildcard.ts';

/** The label under which adapters keep a registry's tags, joined by commas. */
const TAGS = 'tags';

export function endpointShape(config: Shaping): (group: EndpointGroup) => EndpointGroup {
  const takesPart = endpointFilter(config);
  const relabel = labelMapping(config.labels);
  const move = addressMapping(config.addresses);
  if (!takesPart && !relabel && !move) return (group) => group;
  return (group) => {
    let endpoints = group.endpoints;
    if (takesPart) endpoints = endpoints.filter((endpoint) => takesPart(endpoint.labels));
    if (relabel) endpoints = endpoints.map((e) => ({ ...e, labels: relabel(e.labels) }));
    if (move) endpoints = unique(endpoints.map((e) => ({ ...e, address: move(e.address) })));
    return { ...group, endpoints };
  };
}

function endpointFilter({ include, exclude }: Shaping): ((labels: Labels) => boolean) | undefined {
  const wanted = [...include.tags.map(tagTest), ...Object.entries(include.labels).map(labelTest)];
  const unwanted = [...exclude.tags.map(tagTest), ...Object.entries(exclude.labels).map(labelTest)];
  if (wanted.length + unwanted.length === 0) return undefined;
  return (labels) => wanted.every((test) => test(labels)) && !unwanted.some((test) => test(labels));
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
