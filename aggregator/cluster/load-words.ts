// How load reports go over the bus: one JSON text for each replica and stretch of time, in parts no longer than the
// bus takes. What another replica wrote is read with care: what makes no sense is left out.
import { LATENCY_BUCKETS } from '../../model/latency.ts';
import type { Latency } from '../../model/latency.ts';
import type { SharedLoad } from '../../model/load.ts';

type Words = readonly [
  cluster: string,
  region: string,
  zone: string,
  subZone: string,
  successes: number,
  errors: number,
  issued: number,
  dropped: number,
  inProgress: number,
  reporters: number,
  latency?: readonly [buckets: readonly number[], counts: readonly number[], samples: number, timers: number],
];

/** Between two parts, or a part and its frame. */
const FRAME_BYTES = 64;

/** @param lateMs how long ago they were taken. @returns at least one part; what does not fit into `maxParts` is left out. */
export function writeLoads(
  loads: readonly SharedLoad[],
  lateMs: number,
  maxBytes: number,
  maxParts: number,
): readonly Buffer[] {
  const parts: string[][] = [[]];
  let room = maxBytes - FRAME_BYTES;
  for (const load of loads) {
    const text = JSON.stringify(wordsOf(load));
    const bytes = Buffer.byteLength(text) + 1;
    if (bytes > maxBytes - FRAME_BYTES) continue;
    if (bytes > room) {
      if (parts.length >= maxParts) break;
      parts.push([]);
      room = maxBytes - FRAME_BYTES;
    }
    parts.at(-1)?.push(text);
    room -= bytes;
  }
  return parts.map((texts) => Buffer.from(`{"late":${Math.round(lateMs)},"loads":[${texts.join(',')}]}`));
}

function wordsOf(load: SharedLoad): Words {
  const { region, zone, subZone } = load.locality;
  const { successes, errors, issued, dropped, inProgress, reporters, latency } = load;
  const counts = [successes, errors, issued, dropped, inProgress, reporters] as const;
  const where = [load.cluster, region, zone, subZone] as const;
  if (!latency) return [...where, ...counts];
  return [...where, ...counts, [latency.buckets, latency.counts, latency.samples, latency.reporters]];
}

/** undefined: not such a text. */
export function readLoads(
  value: Uint8Array,
): { readonly lateMs: number; readonly loads: readonly SharedLoad[] } | undefined {
  try {
    const { late, loads } = JSON.parse(Buffer.from(value).toString()) as { late?: unknown; loads?: unknown };
    if (!isCount(late) || !Array.isArray(loads)) return undefined;
    return { lateMs: late, loads: loads.flatMap((words: unknown) => loadOf(words) ?? []) };
  } catch {
    return undefined;
  }
}

function loadOf(words: unknown): SharedLoad | undefined {
  if (!Array.isArray(words)) return undefined;
  const [cluster, region, zone, subZone, ...rest] = words as unknown[];
  const [successes, errors, issued, dropped, inProgress, reporters, latency] = rest;
  if (!isText(cluster) || !isText(region) || !isText(zone) || !isText(subZone)) return undefined;
  if (!isCount(successes) || !isCount(errors) || !isCount(issued) || !isCount(dropped)) return undefined;
  if (!isCount(inProgress) || !isCount(reporters)) return undefined;
  const times = latencyOf(latency);
  return {
    cluster,
    locality: { region, zone, subZone },
    successes,
    errors,
    issued,
    dropped,
    inProgress,
    reporters,
    ...(times && { latency: times }),
  };
}

function latencyOf(words: unknown): Latency | undefined {
  if (!Array.isArray(words)) return undefined;
  const [buckets, counts, samples, reporters] = words as unknown[];
  if (!isCounts(buckets) || !isCounts(counts) || buckets.length !== counts.length) return undefined;
  if (!isCount(samples) || !isCount(reporters)) return undefined;
  if (!buckets.every((bucket) => Number.isInteger(bucket) && bucket < LATENCY_BUCKETS)) return undefined;
  return { buckets, counts, samples, reporters };
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);
