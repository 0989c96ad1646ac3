// The state-of-the-world variant. LDS and CDS responses are whole sets, absence means delete; EDS and RDS
// responses hold what changed or was asked for, absence means nothing. Rule numbers S1…S20: docs/xds.md.
import { hashOfSet } from '../view.ts';
import type { View } from '../view.ts';
import type { EncodedResource } from '../resource.ts';
import type { ResourceType } from '../types.ts';
import type { SotwRequest } from '../wire/request.ts';
import { visibleNames } from './subscription.ts';
import type { Allowance, Content, Subscription } from './subscription.ts';

const isWholeSet = (type: ResourceType): boolean => type === 'cds' || type === 'lds';

/** @param first true for the first request of this type on the stream. */
export function subscribeSotw(sub: Subscription, request: SotwRequest, first: boolean, view: View): void {
  if (request.names.length > 0) sub.legacyWildcard = false;
  const legacy = sub.legacyWildcard && isWholeSet(sub.type); // S5, S8
  const wanted = new Set(request.names);
  const wildcard = legacy || wanted.delete('*'); // S6
  const changed = wildcard !== sub.wildcard || !sameNames(wanted, sub.names);
  for (const name of wanted) if (!sub.names.has(name)) sub.answers.add(name); // S4
  for (const name of sub.names) if (!wanted.has(name)) drop(sub, name); // S3
  for (const name of wanted) sub.names.add(name);
  if (wildcard && !sub.wildcard && !isWholeSet(sub.type)) {
    for (const name of view.names(sub.type)) sub.dirty.add(name);
  }
  sub.wildcard = wildcard;
  if (!isWholeSet(sub.type)) return;
  if (first && request.version !== '' && sub.names.size === 0) startFrom(sub, request.version, view);
  else if (first || changed) sub.owesFirst = wildcard || sub.names.size > 0; // S7: nothing wanted, nothing sent
}

function drop(sub: Subscription, name: string): void {
  sub.names.delete(name);
  sub.answers.delete(name);
  sub.dirty.delete(name);
}

/** S14: a client that comes back with the current set is told nothing. */
function startFrom(sub: Subscription, version: string, view: View): void {
  for (const name of view.names(sub.type)) sub.brought.add(name);
  if (version === view.setVersion(sub.type)) {
    sub.lastSetVersion = version;
    sub.lastSet = new Map(wanted(sub, view).map((r) => [r.name, r]));
    sub.upToDate(version);
  } else {
    sub.owesFirst = true;
  }
}

export function takeSotw(sub: Subscription, view: View, may: Allowance): Content | undefined {
  return isWholeSet(sub.type) ? takeSet(sub, view, may) : takeChanged(sub, view, may);
}

/** S1. A name that vanished stays in the set, as it was last sent, until removals are allowed (O3). */
function takeSet(sub: Subscription, view: View, may: Allowance): Content | undefined {
  if (may.onlyAdd && sub.brought.size > 0) return undefined;
  const resources = wanted(sub, view);
  const kept = may.remove ? [] : [...sub.lastSet.values()].filter((r) => isGone(sub, view, r.name));
  const set = [...resources, ...kept];
  const pureWildcard = kept.length === 0 && sub.wildcard && sub.names.size === 0;
  const version = pureWildcard ? view.setVersion(sub.type) : hashOfSet(set);
  const forced = sub.owesFirst || sub.answers.size > 0;
  sub.answers.clear();
  sub.dirty.clear();
  for (const { name } of kept) sub.dirty.add(name);
  if (!forced && (version === sub.lastSetVersion || sub.refusal?.version === version)) return undefined; // S10, S15
  sub.lastSet = new Map(set.map((r) => [r.name, r]));
  sub.lastSetVersion = version;
  return { version, resources: set, removed: [] };
}

/** S2. What does not exist is not answered; it is remembered and sent when it appears (S16, S17). */
function takeChanged(sub: Subscription, view: View, may: Allowance): Content | undefined {
  const resources: EncodedResource[] = [];
  const names = new Set([...sub.answers, ...sub.dirty]);
  for (const name of names) {
    const resource = view.get(sub.type, name);
    if (resource && may.onlyAdd && resource.empty && sub.brought.has(name)) continue;
    const asked = sub.answers.delete(name);
    sub.dirty.delete(name);
    if (resource && (asked || !sub.isParked(resource))) resources.push(resource);
  }
  if (resources.length === 0) return undefined;
  return { version: hashOfSet(wanted(sub, view)), resources, removed: [] };
}

function wanted(sub: Subscription, view: View): EncodedResource[] {
  return [...visibleNames(sub, view)].sort().flatMap((name) => view.get(sub.type, name) ?? []);
}

const isGone = (sub: Subscription, view: View, name: string): boolean =>
  sub.wants(name) && view.get(sub.type, name) === undefined;

const sameNames = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((name) => b.has(name));
