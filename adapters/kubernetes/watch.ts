// One watch: a response that does not end, one JSON event a line. Gives the changes in batches as they
// come off the wire, and ends when the server ends it in order.
import type { IncomingMessage } from 'node:http';
import { KUBE_ANSWER, KUBE_EXPIRED, KUBE_STATUS, KUBE_UNREACHABLE } from './errors.ts';
import { isRecord } from './objects.ts';
import type { KubeResource } from './resources.ts';
import { parseJson, whatOf } from './transport.ts';
import type { KubeQuery } from './transport.ts';

export interface KubeChange<T> {
  readonly type: 'put' | 'delete';
  readonly object: T;
}

export interface KubeBatch<T> {
  /** Possibly none: bookmarks only move the version on. */
  readonly changes: readonly KubeChange<T>[];
  /** Where to go on after these. */
  readonly resourceVersion: string;
}

/** No object comes near it: etcd takes 1.5 MiB. */
const MAX_LINE = 16 * 1024 * 1024;

/** @throws ISTHMUS_KUBE_EXPIRED for 410, another ISTHMUS_KUBE_… for whatever else is not an event */
export async function* readWatch<T>(
  response: IncomingMessage,
  query: KubeQuery,
  resource: KubeResource<T>,
  server: string,
): AsyncGenerator<KubeBatch<T>> {
  let rest = '';
  response.setEncoding('utf8');
  const chunks = (response as AsyncIterable<string>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await chunks.next().catch((thrown: unknown) => {
        throw KUBE_UNREACHABLE.from(thrown, server);
      });
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE) throw KUBE_ANSWER(whatOf(query), 'a line without end');
      const batch = readLines(lines, query, resource);
      if (batch) yield batch;
    }
    if (rest.trim() !== '') throw KUBE_ANSWER(whatOf(query), 'half an event at the end');
  } finally {
    response.destroy();
  }
}

function readLines<T>(
  lines: readonly string[],
  query: KubeQuery,
  resource: KubeResource<T>,
): KubeBatch<T> | undefined {
  const changes: KubeChange<T>[] = [];
  let resourceVersion = '';
  for (const line of lines) {
    if (line.trim() === '') continue;
    const event = parseJson(line, query);
    const object = isRecord(event) ? event['object'] : undefined;
    if (!isRecord(event) || !isRecord(object)) throw KUBE_ANSWER(whatOf(query), 'not a watch event');
    if (event['type'] === 'ERROR') throw errorEvent(object, query);
    const change = readChange(event['type'], object, query, resource);
    if (change) changes.push(change);
    const { metadata } = object;
    const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
    if (typeof version !== 'string' || version === '') {
      throw KUBE_ANSWER(whatOf(query), 'an event without resourceVersion');
    }
    resourceVersion = version;
  }
  return resourceVersion === '' ? undefined : { changes, resourceVersion };
}

function readChange<T>(
  type: unknown,
  object: unknown,
  query: KubeQuery,
  resource: KubeResource<T>,
): KubeChange<T> | undefined {
  try {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        return { type: 'put', object: resource.slim(object) };
      case 'DELETED':
        return { type: 'delete', object: resource.slim(object) };
      case 'BOOKMARK':
        return undefined;
      default:
        throw new TypeError(`an event of type ${JSON.stringify(type)}`);
    }
  } catch (thrown) {
    throw KUBE_ANSWER.from(thrown, whatOf(query), 'an event that cannot be understood');
  }
}

function errorEvent(status: Readonly<Record<string, unknown>>, query: KubeQuery): Error {
  const said = typeof status['message'] === 'string' ? status['message'] : 'no message';
  const code = typeof status['code'] === 'number' ? status['code'] : 0;
  return code === 410 ? KUBE_EXPIRED(whatOf(query), said) : KUBE_STATUS(whatOf(query), code, said);
}
