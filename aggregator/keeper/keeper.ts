// Watches over one source: takes its words and the time, and decides what callers get of it: rules 1, 7, 9 and 10
// of docs/merge.md, flap damping and warm-up. A deterministic machine without clock, timer or socket: equal words
// at equal times give equal shards. Words are judged in batches: what is said between two calls of settle() counts
// as said at once, whether by service or as one whole list. Costs what changed, never the size of the catalogue.
import { Deadlines } from '../../lib/deadlines.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import type { EndpointNotes } from '../../model/notes.ts';
import type { Pinger, Verdict } from '../../model/ping.ts';
import type { Shard } from '../../model/shard.ts';
import { Absences } from './absences.ts';
import { dampingFactor, flapped, isSuppressed } from './damping.ts';
import type { Flaps } from './damping.ts';
import { doubtedIn, doubtedKeys, heldOver, isSpent, newEntry, newIn, note } from './entry.ts';
import type { Entry } from './entry.ts';
import { baseOf, isNothingLeft, isTooMuch } from './guard.ts';
import type { Balance } from './guard.ts';
import { earlier, hold } from './hold.ts';
import type { Facts } from './hold.ts';
import { notesOf } from './notes.ts';
import { darkSuspects, isPinged, liveSuspects, pinged, relist } from './pings.ts';
import type { Contest, OwnSuspect } from './pings.ts';
import type { KeeperReport } from './reports.ts';
import { restored } from './restore.ts';
import type { KeeperSettings } from './settings.ts';
import { viewOf } from './view.ts';
import { takeWord } from './word.ts';
import type { Difference } from './word.ts';

export interface Settled {
  /** undefined: the source offers nothing of this service any more. */
  readonly shards: ReadonlyMap<string, Shard | undefined>;
  readonly reports: readonly KeeperReport[];
}

/** Services looked at in one call because their time came; the others' turn is at once after it. */
const DUE_AT_ONCE = 1_000;
/** Of a list: endpoints taken between two moments at which others may have their turn; a millisecond or two. */
const LISTED_AT_ONCE = 1_000;

export class Keeper {
  readonly #settings: KeeperSettings;
  readonly #hasOtherReady: (service: string) => boolean;
  readonly #entries = new Map<string, Entry>();
  readonly #deadlines = new Deadlines();
  /** Services whose shards have to be made anew. */
  readonly #dirty = new Set<string>();
  readonly #absences = new Absences();
  /** Services in whose shards the end of a hold shows. */
  readonly #overdue = new Set<string>();
  #reports: KeeperReport[] = [];
  #darkSince: number | undefined;
  #liveSince = 0;
  #hasListed = false;
  /** The end of the hold was not seen yet. */
  #holdPending = false;
  #flaps: Flaps | undefined;
  #keys = 0;
  #fresh = 0;
  #doubted = 0;

  /** @param hasOtherReady does another source have an endpoint of this service that is ready and beyond doubt? */
  constructor(settings: KeeperSettings, hasOtherReady: (service: string) => boolean) {
    this.#settings = settings;
    this.#hasOtherReady = hasOtherReady;
  }

  /** True when settle() would do something now, whatever the time; also after a settle() that was bounded. */
  get hasNews(): boolean {
    return this.#dirty.size > 0;
  }

  /** Endpoints that are offered though they are doubted. */
  get doubted(): number {
    return this.#doubted;
  }

  /** When settle() has to be called though the source says nothing; milliseconds since the epoch. */
  get nextDeadline(): number | undefined {
    const holdEnd =
      this.#holdPending && this.#darkSince !== undefined
        ? this.#darkSince + this.#settings.holdForMs
        : undefined;
    return earlier(this.#deadlines.next, holdEnd);
  }

  /** What was known when the process that wrote it ended: dark since then. Before anything is heard. */
  restore(shards: Iterable<Shard>, writtenAt: number): void {
    for (const shard of shards) {
      const entry = restored(shard);
      this.#entries.set(entry.service, entry);
      this.#keys += entry.keys;
      this.#absences.changed(entry, entry.kept?.size ?? 0);
      this.#dirty.add(entry.service);
    }
    this.#goDark(writtenAt);
  }

  /** @param now milliseconds since the epoch; never less than at the call before. */
  hear(update: DiscoveryUpdate, now: number): void {
    switch (update.type) {
      case 'stale':
        return this.#goDark(now);
      case 'alive':
        return;
      case 'sync':
        for (const _ of this.takeList(update.groups, now));
        return;
      case 'group':
        this.#comeLive(now);
        return this.#take(update.group.service, update.group, update.intended === true, now);
      case 'gone':
        this.#comeLive(now);
        return this.#take(update.service, undefined, update.intended === true, now);
    }
  }

  /** Until when what was decided about an endpoint holds; undefined when the source said nothing of it. */
  notes(service: string, key: string, now: number): EndpointNotes | undefined {
    const entry = this.#entries.get(service);
    return entry && notesOf(entry, key, this.#facts(now));
  }

  /** What a ping of one endpoint said; of one that is not known, nothing is kept. True: settle() has news. */
  prove(service: string, key: string, verdict: Verdict, by: Pinger, now: number, contest?: Contest): boolean {
    const entry = this.#entries.get(service);
    const said = entry && pinged(entry, key, { verdict, by, contest }, this.#facts(now));
    if (!said) return false;
    this.#overdue.add(service);
    this.#reports.push(...said.reports);
    if (said.isNews) this.#dirty.add(service);
    return said.isNews;
  }

  /** Endpoints whose life or identity is in question. May be read over a time in which other things happen. */
  *suspects(): Generator<OwnSuspect> {
    const isDark = this.#darkSince !== undefined;
    const services = isDark ? this.#entries.keys() : new Set([...this.#absences.keeping, ...this.#overdue]);
    for (const service of services) {
      const entry = this.#entries.get(service);
      if (entry) yield* isDark ? darkSuspects(entry) : liveSuspects(entry);
    }
  }

  /** undefined while the source answers. */
  get darkSince(): number | undefined {
    return this.#darkSince;
  }

  /**
   * Judges what was said since the last call, and what is due by now.
   * @param most endpoints after which it ends, one service more at most: `hasNews` tells that there is more,
   * and which services come first is the order in which they were spoken of. What was said counts as one batch
   * all the same. Default: all.
   */
  settle(now: number, most = Infinity): Settled {
    this.#wakeDue(now);
    this.#absences.forget(now - this.#settings.guard.windowMs, this.#entries);
    this.#judge(now);
    const shards = new Map<string, Shard | undefined>();
    const facts = this.#facts(now);
    let settled = 0;
    for (const service of this.#dirty) {
      if (settled >= most) break;
      this.#dirty.delete(service);
      const entry = this.#entries.get(service);
      if (!entry) continue;
      settled += 1 + entry.keys + (entry.kept?.size ?? 0);
      this.#settleOne(entry, facts, shards);
    }
    const reports = this.#reports;
    this.#reports = [];
    return { shards, reports };
  }

  #facts(now: number): Facts {
    return {
      now,
      darkSince: this.#darkSince,
      liveSince: this.#liveSince,
      settings: this.#settings,
      hasOtherReady: this.#hasOtherReady,
    };
  }

  #goDark(now: number): void {
    if (this.#darkSince !== undefined) return;
    this.#darkSince = now;
    this.#holdPending = true;
    if (this.#settings.onLost !== 'hold') this.#markAll();
    if (this.#settings.onLost === 'drop') this.#dropAll();
  }

  /** As if nothing had ever been said. */
  #dropAll(): void {
    for (const entry of this.#entries.values()) {
      entry.group = undefined;
      entry.kept = undefined;
      entry.ledger = undefined;
      entry.keys = 0;
      entry.fresh = undefined;
    }
    this.#fresh = 0;
    this.#absences.clear();
    this.#overdue.clear();
    this.#keys = 0;
    this.#hasListed = false;
  }

  #comeLive(now: number): void {
    if (this.#darkSince === undefined && this.#hasListed) return;
    if (this.#darkSince !== undefined && this.#hasListed) {
      this.#flaps = flapped(this.#flaps, now, this.#settings.damping);
    }
    this.#darkSince = undefined;
    this.#holdPending = false;
    this.#hasListed = true;
    this.#liveSince = now;
    if (this.#settings.onLost !== 'hold') this.#markAll();
    for (const service of [...this.#absences.keeping, ...this.#overdue]) this.#dirty.add(service);
  }

  #markAll(): void {
    for (const service of this.#entries.keys()) this.#dirty.add(service);
  }

  /** As hear() of a `sync`, but yields every few milliseconds. Until its end only prove() may be called. */
  *takeList(groups: readonly EndpointGroup[], now: number): Generator<undefined, void> {
    const isFirst = !this.#hasListed;
    this.#comeLive(now);
    const listed = new Set<string>();
    let taken = 0;
    const isMuch = (endpoints: number) => {
      taken += 1 + endpoints;
      if (taken < LISTED_AT_ONCE) return false;
      taken = 0;
      return true;
    };
    for (const group of groups) {
      listed.add(group.service);
      this.#take(group.service, group, false, now, isFirst);
      if (isMuch(group.endpoints.length)) yield;
    }
    for (const [service, { group }] of this.#entries) {
      if (!group || listed.has(service)) continue;
      this.#take(service, undefined, false, now);
      if (isMuch(group.endpoints.length)) yield;
    }
    this.#relist(now);
  }

  /** What had left at the end of its hold, or refuted by pings, and is listed by a live source, is back. */
  #relist(now: number): void {
    for (const service of this.#overdue) {
      const entry = this.#entries.get(service);
      if (entry) relist(entry, this.#settings.warmUpMs > 0 ? now : undefined);
    }
    this.#overdue.clear();
  }

  #take(
    service: string,
    group: EndpointGroup | undefined,
    intended: boolean,
    now: number,
    isFirst = false,
  ): void {
    const entry = this.#entries.get(service) ?? newEntry(service);
    const hadAny = entry.keys > 0 || (entry.kept?.size ?? 0) > 0;
    const doubted = doubtedKeys(entry);
    const freshBefore = entry.fresh?.size ?? 0;
    const difference = takeWord(entry, group, intended || this.#settings.isRetired?.(service) === true, now);
    if (!difference) return;
    this.#entries.set(service, entry);
    this.#dirty.add(service);
    this.#keys += difference.grown;
    this.#fresh += (entry.fresh?.size ?? 0) - freshBefore;
    this.#absences.changed(entry, difference.keptMore);
    this.#absences.lose(service, difference.lost, now);
    this.#noteFlaps(entry, difference, doubted, now);
    if (!isFirst && this.#warmsUp(service, hadAny)) {
      for (const key of difference.added) note(entry, key, { newSince: now });
    }
  }

  /** Where others can carry the load meanwhile. */
  #warmsUp(service: string, hadAny: boolean): boolean {
    return this.#settings.warmUpMs > 0 && (hadAny || this.#hasOtherReady(service));
  }

  /** What was doubted and is listed again was its source's fault. */
  #noteFlaps(
    entry: Entry,
    { returned, failing }: Difference,
    doubted: ReadonlySet<string>,
    now: number,
  ): void {
    const keys = returned.filter((key) => doubted.has(key));
    if (keys.length > 0) this.#reports.push({ type: 'relisted', service: entry.service, keys });
    for (const key of returned) if (!doubted.has(key)) this.#flap(entry, key, now);
    for (const key of failing) this.#flap(entry, key, now);
  }

  #flap(entry: Entry, key: string, now: number): void {
    const { damping } = this.#settings;
    if (!damping.enabled) return;
    const before = entry.ledger?.get(key)?.flaps;
    const flaps = flapped(before, now, damping);
    note(entry, key, { flaps });
    const factor = dampingFactor(flaps, now, damping);
    if (factor === (before ? dampingFactor(before, now, damping) : 1)) return;
    this.#reports.push({ type: 'damped', service: entry.service, key, factor, shadow: damping.shadow });
  }

  #wakeDue(now: number): void {
    if (this.#holdPending && this.#darkSince !== undefined) {
      const holdEnd = this.#darkSince + this.#settings.holdForMs;
      if (now >= holdEnd) {
        this.#holdPending = false;
        for (const entry of this.#entries.values()) this.#wake(entry, holdEnd);
      }
    }
    for (let turns = 0; turns < DUE_AT_ONCE; turns += 1) {
      const service = this.#deadlines.takeDue(now);
      if (service === undefined) break;
      const entry = this.#entries.get(service);
      if (entry?.wakeAt === undefined || entry.wakeAt > now) continue;
      entry.wakeAt = undefined;
      this.#dirty.add(service);
    }
  }

  #wake(entry: Entry, at: number): void {
    if (entry.wakeAt !== undefined && entry.wakeAt <= at) return;
    entry.wakeAt = at;
    this.#deadlines.add(at, entry.service);
  }

  #judge(now: number): void {
    if (this.#absences.lost.size === 0) return;
    const { guard, damping } = this.#settings;
    const ofSource: Balance = { missing: this.#absences.missing, listed: this.#keys, fresh: this.#fresh };
    const isFlapping =
      this.#flaps !== undefined && damping.enabled && isSuppressed(this.#flaps, now, damping);
    if (isNothingLeft(ofSource) || isTooMuch(ofSource, guard) || (isFlapping && !damping.shadow)) {
      this.#guarded(undefined, ofSource);
      if (!guard.shadow) for (const service of this.#absences.keeping) this.#doubt(service, now);
    } else {
      for (const service of this.#absences.lost) {
        const entry = this.#entries.get(service);
        if (!entry) continue;
        const balance = { missing: entry.kept?.size ?? 0, listed: entry.keys, fresh: entry.fresh?.size ?? 0 };
        if (!isTooMuch(balance, guard)) continue;
        this.#guarded(service, balance);
        if (!guard.shadow) this.#doubt(service, now);
      }
    }
    this.#absences.lost.clear();
  }

  #guarded(service: string | undefined, balance: Balance): void {
    const { missing } = balance;
    const { shadow } = this.#settings.guard;
    this.#reports.push({ type: 'guarded', service, missing, of: baseOf(balance), shadow });
  }

  #doubt(service: string, now: number): void {
    const entry = this.#entries.get(service);
    for (const [key, kept] of entry?.kept ?? []) {
      if (kept.doubtedAt === undefined) entry?.kept?.set(key, { ...kept, doubtedAt: now });
    }
    this.#dirty.add(service);
  }

  #settleOne(entry: Entry, facts: Facts, shards: Map<string, Shard | undefined>): void {
    const { service } = entry;
    const keptBefore = entry.kept?.size ?? 0;
    const held = hold(entry, facts);
    this.#reports.push(...held.reports);
    this.#absences.changed(entry, (entry.kept?.size ?? 0) - keptBefore);
    const { shard, wakeAt } = viewOf(entry, facts, held);
    this.#reportOverdue(entry, shard);
    if (shard !== entry.shard) {
      shards.set(service, shard);
      this.#doubted += doubtedIn(shard) - doubtedIn(entry.shard);
    }
    entry.shard = shard;
    this.#fresh -= entry.fresh?.size ?? 0;
    entry.fresh = undefined;
    if (wakeAt !== undefined) this.#wake(entry, wakeAt);
    if (isSpent(entry)) this.#entries.delete(service);
  }

  #reportOverdue(entry: Entry, shard: Shard | undefined): void {
    const { service } = entry;
    const fresh = newIn(heldOver(shard), heldOver(entry.shard));
    if (fresh.length > 0) this.#reports.push({ type: 'held-over', service, keys: fresh });
    if (heldOver(shard).length > 0 || isPinged(entry)) this.#overdue.add(service);
  }
}
