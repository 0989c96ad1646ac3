// A YAML text with the place of every field. Knows nothing of what the fields mean.
import { LineCounter, isMap, isNode, isScalar, isSeq, parseAllDocuments, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import type { ConfigProblem, FieldPath } from './problems.ts';

/** A config needs no aliases to speak of; a bomb of them must not eat the memory. */
const MAX_ALIASES = 20;

export interface YamlText {
  readonly data: unknown;
  /** True when nothing but white space and comments is there. */
  readonly empty: boolean;
  /** Faults of the YAML itself. */
  readonly problems: readonly ConfigProblem[];
  /** False when the text is too broken to say anything about its fields. */
  readonly usable: boolean;
  /** Of the value at `path`, or of the nearest thing around it that exists. From 1. */
  valueAt(path: FieldPath): Position;
  /** Of the key itself: for a field that should not be there. */
  keyAt(path: FieldPath): Position;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

const OPTIONS = { prettyErrors: false, uniqueKeys: true } as const;

/** A text with one document. */
export function readYaml(text: string, origin: string): YamlText {
  const lines = new LineCounter();
  return yamlText(parseDocument(text, { lineCounter: lines, ...OPTIONS }), lines, origin);
}

/** A text with any number of documents, `---` between them. */
export function readYamlDocuments(text: string, origin: string): readonly YamlText[] {
  const lines = new LineCounter();
  // Of an empty text the library returns no list of documents, but an empty one with a mark.
  const documents = [...parseAllDocuments(text, { lineCounter: lines, ...OPTIONS })];
  return documents.map((doc) => yamlText(doc, lines, origin));
}

function yamlText(doc: Document, lines: LineCounter, origin: string): YamlText {
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problems: ConfigProblem[] = [...doc.errors, ...doc.warnings].map((fault) => ({
    origin,
    ...positionOf(fault.pos[0]),
    path: [],
    message:
      fault.code === 'DUPLICATE_KEY' ? 'the same field twice' : `not valid YAML: ${oneLine(fault.message)}`,
  }));
  let usable = doc.errors.every((fault) => fault.code === 'DUPLICATE_KEY');
  let data: unknown;
  try {
    data = usable ? doc.toJS({ maxAliasCount: MAX_ALIASES }) : undefined;
  } catch (thrown) {
    usable = false;
    const message = `not valid YAML: ${oneLine(thrown instanceof Error ? thrown.message : String(thrown))}`;
    problems.push({ origin, line: 1, column: 1, path: [], message });
  }
  return {
    data,
    empty: doc.contents === null || (isScalar(doc.contents) && doc.contents.value === null),
    problems,
    usable,
    valueAt: (path) => positionOf(startOf(valueNode(doc, path))),
    keyAt: (path) => positionOf(startOf(keyNode(doc, path) ?? valueNode(doc, path))),
  };
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

const startOf = (node: Node | undefined): number => node?.range?.[0] ?? 0;

function valueNode(doc: Document, path: FieldPath): Node | undefined {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = doc.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node;
  }
  return undefined;
}

function keyNode(doc: Document, path: FieldPath): Node | undefined {
  const parent = path.length === 1 ? doc.contents : doc.getIn(path.slice(0, -1), true);
  if (isSeq(parent) || !isMap(parent)) return undefined;
  const wanted = path[path.length - 1];
  const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(wanted));
  return isNode(pair?.key) ? pair.key : undefined;
}
