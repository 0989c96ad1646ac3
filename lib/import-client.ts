// Clients of registries and of NATS are optional packages, loaded when the config asks for them and not before.
import { defineError } from './errors.ts';

export const CLIENT_MISSING = defineError(
  'ISTHMUS_CLIENT_MISSING',
  (what: string, npm: string) =>
    `${what} needs the package ${npm}, which is not installed: npm install ${npm}`,
  { hint: 'Registry clients are optional dependencies; an install with --omit=optional leaves them out.' },
);

/**
 * @param load `() => import('NAME')`, with the name spelled out so that tools see the dependency.
 * @throws ISTHMUS_CLIENT_MISSING when the package, or one that it needs itself, cannot be found.
 */
export async function importClient<M>(kind: string, npm: string, load: () => Promise<M>): Promise<M> {
  try {
    return await load();
  } catch (thrown) {
    if (isNotFound(thrown)) throw CLIENT_MISSING.from(thrown, kind, npm);
    throw thrown;
  }
}

function isNotFound(thrown: unknown): boolean {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}
