// Where a value may come from besides the file, and who wins: flag, then ISTHMUS_… variable, then file,
// then default.
import type { ConfigProblem, FieldPath } from './problems.ts';
import { neighbourOverrides } from './neighbours.ts';
import type { Env, Override } from './neighbours.ts';

/** Values of flags by field, such as `{ 'xds.plaintext': '127.0.0.1:0' }`; undefined: not given. */
export type Flags = Readonly<Partial<Record<ScalarField, string | undefined>>>;

export type ScalarField = 'xds.plaintext' | 'admin.listen' | 'dataDir' | 'logLevel';

interface Scalar {
  readonly field: ScalarField;
  readonly flag: string;
  readonly variable: string;
}

/** Every setting that a flag or a variable can give. */
export const SCALARS: readonly Scalar[] = [
  { field: 'xds.plaintext', flag: '--xds', variable: 'ISTHMUS_XDS_PLAINTEXT' },
  { field: 'admin.listen', flag: '--admin', variable: 'ISTHMUS_ADMIN_LISTEN' },
  { field: 'dataDir', flag: '--data-dir', variable: 'ISTHMUS_DATA_DIR' },
  { field: 'logLevel', flag: '--log-level', variable: 'ISTHMUS_LOG_LEVEL' },
];

export function collectOverrides(data: unknown, flags: Flags, env: Env): readonly Override[] {
  const overrides: Override[] = [];
  for (const { field, flag, variable } of SCALARS) {
    const path = field.split('.');
    const fromFlag = flags[field];
    const fromEnv = env[variable];
    if (fromFlag !== undefined) overrides.push({ path, origin: flag, value: fromFlag });
    else if (fromEnv !== undefined && fromEnv !== '')
      overrides.push({ path, origin: variable, value: fromEnv });
  }
  return [...overrides, ...neighbourOverrides(data, env)];
}

/** A copy of the data with the overrides in place. Parents that are not mappings are left for the schema. */
export function applyOverrides(data: unknown, overrides: readonly Override[]): unknown {
  const copy: unknown = structuredClone(data);
  for (const { path, value } of overrides) {
    let parent: unknown = copy;
    for (const part of path.slice(0, -1)) {
      if (!isRecord(parent)) break;
      parent[part] ??= {};
      parent = parent[part];
    }
    const last = path[path.length - 1];
    if (isRecord(parent) && last !== undefined) parent[last] = value;
  }
  return copy;
}

const isRecord = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null;

/** The problem of a value that came from a flag or a variable: its origin, no line. */
export function originOf(
  overrides: readonly Override[],
  path: FieldPath,
): Pick<ConfigProblem, 'origin' | 'line' | 'column'> | undefined {
  // Also for what stands inside: a text may stand for a list, and the complaint be about one item of it.
  const found = overrides.find((o) => o.path.every((part, index) => part === path[index]));
  return found && { origin: found.origin, line: 0, column: 0 };
}
