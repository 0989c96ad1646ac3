// The full list of one resource, page by page, so that neither side holds all of it as text at once.
import { KUBE_ANSWER, KUBE_EXPIRED } from './errors.ts';
import { isRecord } from './objects.ts';
import { queryOf } from './resources.ts';
import type { KubeResource } from './resources.ts';
import { whatOf } from './transport.ts';
import type { KubeQuery, KubeTransport } from './transport.ts';

/** A cluster that changes faster than it can be read three times is in trouble. */
const TRIES = 3;

export interface Listed<T> {
  readonly objects: T[];
  /** Where a watch goes on. */
  readonly resourceVersion: string;
}

/** @throws ISTHMUS_KUBE_… also when a page is not what was asked for: never less than everything. */
export async function listAll<T>(
  transport: KubeTransport,
  resource: KubeResource<T>,
  namespace: string,
  signal: AbortSignal,
): Promise<Listed<T>> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listOnce(transport, resource, namespace, signal);
    } catch (thrown) {
      // The pages of a list are of one moment, which the server forgets after some minutes.
      if (!isExpired(thrown) || attempt === TRIES) throw thrown;
    }
  }
}

async function listOnce<T>(
  transport: KubeTransport,
  resource: KubeResource<T>,
  namespace: string,
  signal: AbortSignal,
): Promise<Listed<T>> {
  const objects: T[] = [];
  let next = '';
  for (;;) {
    const query = queryOf(resource, namespace, 'list', {
      limit: String(resource.page),
      ...(next === '' ? {} : { continue: next }),
    });
    const map = (item: unknown) => read(item, resource);
    const page = readPage<T>(
      await transport.getJson(query, signal, { path: ['items'], map }),
      query,
      resource,
    );
    for (const object of page.objects) objects.push(object);
    if (page.next === '') return { objects, resourceVersion: page.resourceVersion };
    if (page.next === next) throw KUBE_ANSWER(whatOf(query), 'the same page again');
    next = page.next;
  }
}

function readPage<T>(answer: unknown, query: KubeQuery, resource: KubeResource<T>) {
  const bad = (problem: string, cause?: unknown) => KUBE_ANSWER.from(cause, whatOf(query), problem);
  if (!isRecord(answer) || answer['kind'] !== resource.listKind) throw bad(`not a ${resource.listKind}`);
  const { items, metadata } = answer;
  if (!isRecord(metadata) || typeof metadata['resourceVersion'] !== 'string') {
    throw bad('a list without resourceVersion');
  }
  // Go writes an empty list as null.
  if (items !== null && !Array.isArray(items)) throw bad('a list without items');
  const next = metadata['continue'];
  const objects = (items ?? []) as (T | Misfit)[];
  const misfit = objects.find((object) => object instanceof Misfit);
  if (misfit) throw bad('an object that cannot be understood', misfit.why);
  return {
    objects: objects as T[],
    resourceVersion: metadata['resourceVersion'],
    next: typeof next === 'string' ? next : '',
  };
}

/** An object that is none: a fault, unless the whole answer is about something else. */
class Misfit {
  readonly why: unknown;

  constructor(why: unknown) {
    this.why = why;
  }
}

function read<T>(item: unknown, resource: KubeResource<T>): T | Misfit {
  try {
    return resource.slim(item);
  } catch (thrown) {
    return new Misfit(thrown);
  }
}

export function isExpired(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === KUBE_EXPIRED.code;
}
