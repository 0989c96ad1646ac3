// The state-of-the-world variant. LDS and CDS responses are whole sets, absence means delete; EDS and RDS
// responses hold what changed or was asked for, absence means nothing. Rule numbers S1…S20: docs/xds.md.
import type { View } from '../view.ts';
import { hashOfSet } from '../set-version.ts';
import type { EncodedResource } from '../resource.ts';
import type { ResourceType } from '../types.ts';
import type { SotwRequest } from '../wire/request.ts';
import { inTurns, takeTrial, takesAway, visibleNames } from './subscription.ts';
import type { Allowance, Content, Subscription } from './subscription.ts';

const isWholeSet = (type: ResourceType): boolean => type === 'cds' || type === 'lds';

/** @param first true for the first request of this type on the stream. */
export function subscribeSotw(sub: Subscription, request: SotwRequest, first: boolean, view: View): void {
  if (request.names.length > 0) sub.legacyWildcard = false;
  const legacy = sub.legacyWildcard && isWholeSet(sub.type); // S5, S8
  const names = new Set(request.names);
  const wildcard = legacy || names.delete('*'); // S6
  let more = wildcard && !sub.wildcard;
  if (more && !isWholeSet(sub.type)) for (const name of view.names(sub.type)) sub.dirty.add(name);
  for (const name of sub.names) if (!names.has(name)) drop(sub, name); // S3
  for (const name of names) {
    if (sub.names.has(name)) continue;
    sub.addName(name);
    sub.answers.add(name); // S4
    more = true;
  }
  sub.wildcard = wildcard;
  // S7: a smaller subscription is not answered, and an empty one gets nothing from then on.
  if (more && isWholeSet(sub.type)) sub.owesFirst = true;
  if (first && request.version !== '') startFrom(sub, request.version, view);
}

function drop(sub: Subscription, name: string): void {
  sub.deleteName(name);
  sub.answers.delete(name);
  sub.dirty.delete(name);
}

/** S14: a wildcard client that comes back with the current set is told nothing; names are always answered. */
function startFrom(sub: Subscription, version: string, view: View): void {
  sub.cameBack = true;
  const resources = wanted(sub, view);
  const current = version === hashOfSet(resources);
  for (const name of sub.names) {
    sub.brought.set(name, current ? (view.get(sub.type, name)?.version ?? '') : '');
  }
  if (!current || !isWholeSet(sub.type)) return;
  sub.heldSet = byName(resources);
  if (sub.names.size > 0) return;
  sub.owesFirst = false;
  sub.lastSetVersion = version;
  sub.upToDate(version);
}

export function takeSotw(sub: Subscription, view: View, may: Allowance): Content | undefined {
  if (isWholeSet(sub.type)) return takeSet(sub, view, may);
  return inTurns(
    sub,
    () => changed(sub, view, takeTrial(sub, view)),
    () => changed(sub, view, takeChanged(sub, view, may)),
  );
}

/**
 * S1. A name that vanished stays in the set, as the client holds it, until removals are allowed (O3). So
 * does one whose newest content the client refused.
 */
function takeSet(sub: Subscription, view: View, may: Allowance): Content | undefined {
  const forced = sub.owesFirst || sub.answers.size > 0;
  sub.answers.clear();
  sub.dirty.clear();
  if (may.onlyAdd && sub.cameBack) {
    sub.owesFirst = false;
    sub.withheldSet = true;
    return undefined;
  }
  let set = nextSet(sub, view, may);
  while (set.trial.length > 0 && sub.trials.wasRefused(set.version)) {
    sub.convict(set.fresh);
    set = nextSet(sub, view, may);
  }
  const { resources, version, fresh } = set;
  const later = may.onlyAdd ? sub.withheld : sub.dirty;
  for (const { name } of set.kept) later.add(name);
  if (!forced && (version === sub.lastSetVersion || sub.refusal?.version === version)) return undefined; // S10, S15
  sub.lastSetVersion = version;
  return { version, resources, removed: [], whole: { set: byName(resources), fresh } };
}

/** The whole set as it may be now. Whoever is on trial is kept back no longer, and so is in it. */
function nextSet(sub: Subscription, view: View, may: Allowance) {
  const trial = takeTrial(sub, view);
  const good = wanted(sub, view).flatMap((r) => (sub.isKeptBack(r) ? (sub.heldSet.get(r.name) ?? []) : r));
  const kept = may.remove ? [] : [...sub.heldSet.values()].filter((r) => isGone(sub, view, r.name));
  const resources = [...good, ...kept];
  const fresh = resources.filter((r) => sub.heldSet.get(r.name)?.version !== r.version);
  return { trial, kept, resources, fresh, version: hashOfSet(resources) };
}

/** S2. What does not exist is not answered; it is remembered and sent when it appears (S16, S17). */
function takeChanged(sub: Subscription, view: View, may: Allowance): EncodedResource[] {
  const resources: EncodedResource[] = [];
  const names = new Set([...sub.answers, ...sub.dirty]);
  for (const name of names) {
    const resource = view.get(sub.type, name);
    const asked = sub.answers.delete(name);
    sub.dirty.delete(name);
    if (resource && may.onlyAdd && takesAway(sub, name, resource)) {
      sub.withheld.add(name);
      continue;
    }
    if (resource && sub.wants(name) && (asked || !sub.isKeptBack(resource))) resources.push(resource);
  }
  return resources;
}

function changed(sub: Subscription, view: View, resources: readonly EncodedResource[]): Content | undefined {
  if (resources.length === 0) return undefined;
  return { version: hashOfSet(wanted(sub, view)), resources, removed: [] };
}

function wanted(sub: Subscription, view: View): EncodedResource[] {
  return [...visibleNames(sub, view)].flatMap((name) => view.get(sub.type, name) ?? []);
}

const byName = (resources: readonly EncodedResource[]): ReadonlyMap<string, EncodedResource> =>
  new Map(resources.map((r) => [r.name, r]));

const isGone = (sub: Subscription, view: View, name: string): boolean =>
  sub.wants(name) && view.get(sub.type, name) === undefined;
