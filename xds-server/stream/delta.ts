// The incremental variant (xDS protocol, "Incremental xDS"): how a request changes a subscription, and what
// the next response holds. Rule numbers D1…D23 are those of docs/xds.md.
import type { View } from '../view.ts';
import type { EncodedResource } from '../resource.ts';
import type { DeltaRequest } from '../wire/request.ts';
import { inTurns, seen, takeTrial, takesAway, visibleNames } from './subscription.ts';
import type { Allowance, Content, Subscription } from './subscription.ts';

/** A response is cut when it passes this; the rest follows after its ACK. Some clients take 4 MiB at most (F2). */
export const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

/** @param first true for the first request of this type on the stream. */
export function subscribeDelta(sub: Subscription, request: DeltaRequest, first: boolean, view: View): void {
  const wasWildcard = sub.wildcard;
  if (first && request.subscribe.length === 0) sub.wildcard = true; // D1: legacy wildcard
  for (const name of request.subscribe) {
    if (name === '*')
      sub.wildcard = true; // D3
    else {
      sub.addName(name);
      sub.answers.add(name); // D6: even if the client is believed to have it
    }
  }
  for (const name of request.unsubscribe) unsubscribe(sub, name);
  if (sub.wildcard && !wasWildcard) sub.owesFirst = true;
  if (first) startFrom(sub, request.initialVersions, view);
  else if (sub.wildcard && !wasWildcard) for (const name of view.names(sub.type)) sub.dirty.add(name);
}

function unsubscribe(sub: Subscription, name: string): void {
  if (name === '*') {
    sub.wildcard = false; // D4, D5
    for (const dirty of sub.dirty) if (!sub.names.has(dirty)) sub.dirty.delete(dirty);
    return;
  }
  if (!sub.deleteName(name)) return; // D10
  sub.answers.delete(name);
  sub.dirty.delete(name);
  if (sub.wildcard) sub.answers.add(name); // D9: answered once
}

/** D15, D16, D18: only what differs from what the client brought is owed; what is gone is removed. */
function startFrom(sub: Subscription, held: ReadonlyMap<string, string>, view: View): void {
  for (const name of visibleNames(sub, view)) {
    if (held.get(name) !== view.get(sub.type, name)?.version) sub.dirty.add(name);
  }
  for (const [name, version] of held) {
    sub.brought.set(name, version);
    if (!seen(sub, view, name)) sub.dirty.add(name);
  }
  if (held.size > 0 && sub.wildcard) {
    sub.owesFirst = false; // it serves on with what it has
    if (!sub.pending) sub.upToDate(view.setVersion(sub.type));
  }
}

/** Takes the next response's content out of what is pending; undefined when nothing is to be sent. */
export function takeDelta(sub: Subscription, view: View, may: Allowance): Content | undefined {
  return inTurns(
    sub,
    () => tried(sub, view),
    () => takeNews(sub, view, may),
  );
}

function tried(sub: Subscription, view: View): Content | undefined {
  const resources = takeTrial(sub, view);
  return resources.length === 0 ? undefined : { version: view.setVersion(sub.type), resources, removed: [] };
}

function takeNews(sub: Subscription, view: View, may: Allowance): Content | undefined {
  const resources: EncodedResource[] = [];
  const removed: string[] = [];
  let bytes = 0;
  /** False when it has to wait. */
  const take = (name: string, asked: boolean): boolean => {
    const resource = seen(sub, view, name);
    if (may.onlyAdd && (takesAway(sub, name, resource) || (!resource && !asked))) {
      sub.withheld.add(name);
      return true;
    }
    if (!resource) {
      // D7: what was asked for by name is always answered; a removal waits for its turn.
      if (!asked && !may.remove) return false;
      removed.push(name);
      return true;
    }
    if (asked || !sub.isKeptBack(resource)) {
      resources.push(resource);
      bytes += resource.delta.length;
    }
    return true;
  };
  for (const name of sub.answers) {
    if (bytes > MAX_RESPONSE_BYTES) break;
    if (!take(name, true)) continue;
    sub.answers.delete(name);
    sub.dirty.delete(name);
  }
  for (const name of sub.dirty) {
    if (bytes > MAX_RESPONSE_BYTES) break;
    if (take(name, false)) sub.dirty.delete(name);
  }
  if (resources.length === 0 && removed.length === 0 && !sub.owesFirst) return undefined; // D20
  return { version: view.setVersion(sub.type), resources, removed };
}
