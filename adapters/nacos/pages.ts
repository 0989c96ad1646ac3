// A list that comes in pages, whole or not at all. All pages are of one server, because another one may have
// another order; a list that changes while it is read is read again.
import type { Page } from './answers.ts';
import type { PageOf, Question } from './dialects.ts';
import { NACOS_ANSWER } from './errors.ts';
import type { Server } from './server.ts';

/** Readings of one list while it changes under our hands. */
const MAX_READINGS = 3;

/**
 * As many entries as the server says there are; undefined: it knows no such list.
 * @param keyOf tells entries apart.
 * @throws ISTHMUS_NACOS_ANSWER when it says there are more, or fewer, than it gives.
 */
export async function readPages<T>(
  server: Server,
  questionOf: (page: PageOf) => Question<Page<T>>,
  pages: Omit<PageOf, 'number'>,
  keyOf: (item: T) => string,
  signal: AbortSignal,
): Promise<T[] | undefined> {
  let fault = '';
  for (let reading = 0; reading < MAX_READINGS; reading += 1) {
    const items = new Map<string, T>();
    let total = 0;
    for (let number = 1; ; number += 1) {
      const page = await server.find(questionOf({ ...pages, number }), signal);
      if (!page) return undefined;
      if (number === 1) ({ total } = page);
      const before = items.size;
      for (const item of page.items) items.set(keyOf(item), item);
      if (items.size >= total || items.size === before || page.total !== total) break;
    }
    if (items.size === total) return [...items.values()];
    fault = `a list that says it has ${total} entries gives ${items.size}`;
  }
  throw NACOS_ANSWER(server.base, fault);
}
