// Free-form metadata of registries (Curator payloads, gRPC naming metadata …): what has a meaning here and
// what stays as a label. Pure; anything odd is left out, nothing is refused.
import type { Health, Labels } from '../model/endpoint.ts';

type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface Metadata {
  /** All scalar fields, as text. */
  readonly labels: Labels;
  /** `weight`: a number ≥ 0 or its text. */
  readonly weight?: number | undefined;
  /** `zone`, `region`. */
  readonly zone: string;
  readonly region: string;
  /** `isthmus.dev/protocol`, else `protocol`. */
  readonly protocol: string;
  /** `isthmus.dev/port`. */
  readonly primary: string;
}

/** Of anything that is not an object: no metadata. */
export function readMetadata(metadata: unknown): Metadata {
  const labels = labelsOf(metadata);
  return {
    labels,
    weight: weightOf(labels['weight']),
    zone: labels['zone'] ?? '',
    region: labels['region'] ?? '',
    protocol: labels['isthmus.dev/protocol'] ?? labels['protocol'] ?? '',
    primary: labels['isthmus.dev/port'] ?? '',
  };
}

/** Scalars as text; objects, lists and nulls are left out. */
export function labelsOf(metadata: unknown): Record<string, string> {
  if (!isObject(metadata)) return {};
  const scalars = Object.entries(metadata).filter(([, value]) => isScalar(value));
  return Object.fromEntries(scalars.map(([key, value]) => [key, String(value)]));
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** undefined when it is no number ≥ 0. */
export function weightOf(value: unknown): number | undefined {
  if (typeof value === 'string' && !/^\d+(\.\d+)?$/.test(value.trim())) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const weight = Number(value);
  return Number.isFinite(weight) && weight >= 0 ? weight : undefined;
}

const STATUSES = new Map<string, Health>(
  Object.entries({
    up: 'healthy',
    healthy: 'healthy',
    passing: 'healthy',
    alive: 'healthy',
    down: 'unhealthy',
    unhealthy: 'unhealthy',
    critical: 'unhealthy',
    dead: 'unhealthy',
    draining: 'draining',
    out_of_service: 'draining',
    maintenance: 'draining',
    stopping: 'draining',
    degraded: 'degraded',
    warning: 'degraded',
  } as const),
);

/** The words registries use, in any case; any other word: `unknown`. */
export function healthFromWord(word: string): Health {
  return STATUSES.get(word.trim().toLowerCase()) ?? 'unknown';
}
