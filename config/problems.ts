// What is wrong with a config, as data: where, at which field, what. All problems are collected before any
// is told; the text form is `isthmus.yaml:6:11: sources[1].kind: …`, which editors can jump to.
import { defineError } from '../lib/errors.ts';

export type FieldPath = readonly (string | number)[];

export interface ConfigProblem {
  /** Where the value came from: a file as the user named it, a flag (`--xds`) or a variable. */
  readonly origin: string;
  /** From 1; 0 when the origin has no lines. */
  readonly line: number;
  readonly column: number;
  readonly path: FieldPath;
  readonly message: string;
}

/** One error for all problems of a config, one line each. */
export const CONFIG_INVALID = defineError('ISTHMUS_CONFIG_INVALID', (problems: readonly ConfigProblem[]) =>
  problems.map(formatProblem).join('\n'),
);

/** The same for the files of `resources:`. */
export const RESOURCES_INVALID = defineError(
  'ISTHMUS_RESOURCES_INVALID',
  (problems: readonly ConfigProblem[]) => problems.map(formatProblem).join('\n'),
);

/** Of one that came over the API: everything that is wrong with it. */
export const RESOURCE_REFUSED = defineError(
  'ISTHMUS_RESOURCE_REFUSED',
  (resource: string, problems: readonly string[]) => `${resource}: ${problems.join('; ')}`,
);

export const RESOURCE_IN_FILE = defineError(
  'ISTHMUS_RESOURCE_IN_FILE',
  (resource: string, file: string) => `${resource} is in a file, which counts: ${file}`,
  { hint: 'Change the file; or take it out of the file first, then it may be written here.' },
);

export const CONFIG_UNREADABLE = defineError(
  'ISTHMUS_CONFIG_UNREADABLE',
  (file: string) => `cannot read the config ${file}`,
  { hint: 'Name the file with -c FILE; without it, isthmus.yaml in the current directory is read.' },
);

export function formatProblem(problem: ConfigProblem): string {
  const place = problem.line > 0 ? `${problem.origin}:${problem.line}:${problem.column}` : problem.origin;
  const field = formatPath(problem.path);
  return field === '' ? `${place}: ${problem.message}` : `${place}: ${field}: ${problem.message}`;
}

/** `sources[1].locality.zone` */
export function formatPath(path: FieldPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/** In the order of the text; problems without a line (flags, variables) first. */
export function sortProblems(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}
