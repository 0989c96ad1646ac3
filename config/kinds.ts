// The kinds of resources: for each its shape, and what a document of it means. Everything that reads, stores or
// merges resources goes by this table.
import type { z } from 'zod';
import type { MigrationSpec } from '../model/migration.ts';
import { DEFAULT_NAMESPACE } from '../model/names.ts';
import type { ServiceRules } from '../model/rules.ts';
import { faultsOf, migration, migrationFrom } from './migration.ts';
import { rulesFrom, sourcesNamedBy } from './policy.ts';
import type { FieldPath } from './problems.ts';
import type { RuntimeLayer } from '../model/runtime.ts';
import type { SidecarScope } from '../model/scope.ts';
import { layerFrom, runtimeLayer, valueFaults } from './runtime-layer.ts';
import { hostFaults, namespaceOf, selectionOf, sidecar, sidecarScope } from './sidecar.ts';
import { serviceOf, servicePolicy } from './service-policy.ts';

export type ResourceKind = 'ServicePolicy' | 'Migration' | 'Sidecar' | 'RuntimeLayer';

export const KINDS: readonly ResourceKind[] = ['ServicePolicy', 'Migration', 'Sidecar', 'RuntimeLayer'];

/** What a service has of it, one at most. */
export const NOUNS: Readonly<Record<ResourceKind, string>> = {
  ServicePolicy: 'policy',
  Migration: 'migration',
  Sidecar: 'Sidecar',
  RuntimeLayer: 'RuntimeLayer',
};

/** Where a document says what it is about. */
export const placeOfOwner = (kind: ResourceKind): FieldPath =>
  kind === 'RuntimeLayer' ? ['metadata', 'name'] : ['spec', 'service'];

/** Whether a service's history has it: others are about callers. */
export const isAboutService = (kind: string): boolean => kind === 'ServicePolicy' || kind === 'Migration';

/** What one document says. */
export type Meant = {
  readonly namespace: string;
  readonly name: string;
  /** Canonical; of a Sidecar the workloads that it selects, of a RuntimeLayer its name. */
  readonly service: string;
} & (
  | {
      readonly kind: 'ServicePolicy';
      readonly rules: ServiceRules;
      /** Its merge policy is in the document itself. */
      readonly saysPolicy: boolean;
    }
  | { readonly kind: 'Migration'; readonly spec: MigrationSpec }
  | { readonly kind: 'Sidecar'; readonly scope: SidecarScope }
  | { readonly kind: 'RuntimeLayer'; readonly layer: RuntimeLayer }
);

export interface ReadDocument {
  /** undefined: it has issues. */
  readonly meant: Meant | undefined;
  /** Of its shape. */
  readonly issues: readonly z.core.$ZodIssue[];
  readonly faults: readonly (readonly [FieldPath, string])[];
  /** Sources that it names, and where. */
  readonly sources: readonly (readonly [string, FieldPath])[];
}

interface Kind {
  readonly schema: z.ZodType;
  read(data: unknown, base: ServiceRules): ReadDocument;
}

const TABLE: Readonly<Record<ResourceKind, Kind>> = {
  ServicePolicy: { schema: servicePolicy, read: readPolicy },
  Migration: { schema: migration, read: readMigration },
  Sidecar: { schema: sidecar, read: readSidecar },
  RuntimeLayer: { schema: runtimeLayer, read: readLayer },
};

export const kindOf = (name: unknown): Kind | undefined => {
  const kind = KINDS.find((each) => each === name);
  return kind && TABLE[kind];
};

const unread = (error: z.ZodError): ReadDocument => ({
  meant: undefined,
  issues: error.issues,
  faults: [],
  sources: [],
});

function readPolicy(data: unknown, base: ServiceRules): ReadDocument {
  const parsed = servicePolicy.safeParse(data);
  if (!parsed.success) return unread(parsed.error);
  const { metadata, spec } = parsed.data;
  return {
    meant: {
      kind: 'ServicePolicy',
      namespace: metadata.namespace ?? DEFAULT_NAMESPACE,
      name: metadata.name,
      service: serviceOf(parsed.data),
      rules: rulesFrom(spec, base),
      saysPolicy: spec.policy !== undefined,
    },
    issues: [],
    faults: [],
    sources: (spec.policy ? sourcesNamedBy(spec.policy) : []).map(([name, path]) => [
      name,
      ['spec', 'policy', ...path],
    ]),
  };
}

function readMigration(data: unknown): ReadDocument {
  const parsed = migration.safeParse(data);
  if (!parsed.success) return unread(parsed.error);
  const { metadata, spec } = parsed.data;
  const means = migrationFrom(parsed.data);
  return {
    meant: {
      kind: 'Migration',
      namespace: metadata.namespace ?? DEFAULT_NAMESPACE,
      name: metadata.name,
      service: means.service,
      spec: means,
    },
    issues: [],
    faults: faultsOf(parsed.data),
    sources: [
      [spec.from, ['spec', 'from']],
      [spec.to, ['spec', 'to']],
    ],
  };
}

function readSidecar(data: unknown): ReadDocument {
  const parsed = sidecar.safeParse(data);
  if (!parsed.success) return unread(parsed.error);
  return {
    meant: {
      kind: 'Sidecar',
      namespace: namespaceOf(parsed.data),
      name: parsed.data.metadata.name,
      service: selectionOf(parsed.data),
      scope: sidecarScope(parsed.data),
    },
    issues: [],
    faults: hostFaults(parsed.data),
    sources: [],
  };
}

function readLayer(data: unknown): ReadDocument {
  const parsed = runtimeLayer.safeParse(data);
  if (!parsed.success) return unread(parsed.error);
  const { name, namespace } = parsed.data.metadata;
  return {
    meant: {
      kind: 'RuntimeLayer',
      namespace: namespace ?? DEFAULT_NAMESPACE,
      name,
      service: name,
      layer: layerFrom(parsed.data),
    },
    issues: [],
    faults: valueFaults(parsed.data),
    sources: [],
  };
}
