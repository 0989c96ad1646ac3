// YAML or JSON text as data, with the place of every value, so that an error can say where it stands.
// Knows nothing of what the data mean.
import { LineCounter, isNode, parseAllDocuments } from 'yaml';
import type { Document } from 'yaml';
import type { z } from 'zod';
import { defineError } from '../../lib/errors.ts';

export const FILE_INVALID = defineError(
  'ISTHMUS_FILE_INVALID',
  (place: string, what: string) => `${place}: ${what}`,
  {
    hint: 'Nothing of the file is used until it is whole again; everything the source said before is kept.',
  },
);

export type ValuePath = readonly PropertyKey[];

/** One document of a file. */
export interface FileDocument {
  /** null for an empty one. */
  readonly data: unknown;
  /** ISTHMUS_FILE_INVALID at the value of `path`, or at the nearest thing around it: `FILE:LINE:COLUMN: …`. */
  fault(path: ValuePath, what: string): Error;
}

/** Plenty for hand-written anchors; a bomb of them must not eat the memory. */
const MAX_ALIASES = 1_000;

/** @throws ISTHMUS_FILE_INVALID when the text is neither YAML nor JSON, or holds nothing at all. */
export function parseDocuments(text: string, file: string): FileDocument[] {
  const documents = jsonDocument(text, file) ?? yamlDocuments(text, file);
  if (documents.every((document) => document.data === null)) {
    throw FILE_INVALID(`${file}:1:1`, 'the file is empty');
  }
  return documents;
}

/** JSON is YAML too, but large files parse many times faster this way. */
function jsonDocument(text: string, file: string): FileDocument[] | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    const data: unknown = JSON.parse(text);
    return [{ data, fault: (path, what) => faultIn(readYaml(text)[0], path, file, what) }];
  } catch {
    return undefined;
  }
}

function yamlDocuments(text: string, file: string): FileDocument[] {
  return readYaml(text).map((parsed) => {
    const { doc, lines } = parsed;
    const fault = doc.errors[0];
    if (fault) throw FILE_INVALID(placeOf(lines, fault.pos[0], file), `not YAML: ${oneLine(fault.message)}`);
    try {
      const data: unknown = doc.toJS({ maxAliasCount: MAX_ALIASES });
      return { data, fault: (path: ValuePath, what: string) => faultIn(parsed, path, file, what) };
    } catch (thrown) {
      throw FILE_INVALID.from(thrown, `${file}:1:1`, 'not YAML that can be used');
    }
  });
}

interface Parsed {
  readonly doc: Document;
  readonly lines: LineCounter;
}

function readYaml(text: string): Parsed[] {
  const lines = new LineCounter();
  const docs = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  return Array.isArray(docs) ? docs.map((doc) => ({ doc, lines })) : [];
}

function faultIn(parsed: Parsed | undefined, path: ValuePath, file: string, what: string): Error {
  if (!parsed) return FILE_INVALID(file, what);
  return FILE_INVALID(placeOf(parsed.lines, startOf(parsed.doc, path), file), what);
}

function startOf(doc: Document, path: ValuePath): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node = doc.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return doc.contents?.range?.[0] ?? 0;
}

function placeOf(lines: LineCounter, offset: number, file: string): string {
  const { line, col } = lines.linePos(offset);
  return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

/**
 * The data of a document, or of the part of it at `at`, in the shape of `schema`.
 * @throws ISTHMUS_FILE_INVALID for the first thing that does not fit, with the number of the others.
 */
export function checkShape<S extends z.ZodType>(
  schema: S,
  document: FileDocument,
  part: { readonly data: unknown; readonly at: ValuePath } = { data: document.data, at: [] },
): z.output<S> {
  const parsed = schema.safeParse(part.data);
  if (parsed.success) return parsed.data;
  const [first, ...others] = parsed.error.issues;
  const path = [...part.at, ...(first?.path ?? [])];
  const field = path.map(String).join('.');
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  throw document.fault(path, `${field === '' ? '' : `${field}: `}${first?.message ?? 'wrong shape'}${more}`);
}
