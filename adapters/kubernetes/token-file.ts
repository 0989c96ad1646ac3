// The bearer token of a kubeconfig's user that stands in a file: read for each request, as tokens rotate.
// The client package reads a service account's token only once a minute, and does not know `tokenFile`
// of a kubeconfig at all.
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { User } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { KUBE_CONFIG } from './errors.ts';
import { isRecord } from './objects.ts';

/**
 * Where the token of `user` is, or undefined when it is not in a file.
 * @param kubeconfig as in the source's config: '' means $KUBECONFIG, else ~/.kube/config
 */
export async function tokenFileOf(user: User | null, kubeconfig: string): Promise<string | undefined> {
  const provider: unknown = user?.authProvider?.config;
  if (isRecord(provider) && typeof provider['tokenFile'] === 'string') return provider['tokenFile'];
  if (!user || user.exec || user.authProvider) return undefined;
  for (const file of kubeconfigFiles(kubeconfig)) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const named = usersIn(text).find((entry) => entry['name'] === user.name)?.['user'];
    if (isRecord(named) && typeof named['tokenFile'] === 'string' && named['tokenFile'] !== '') {
      return resolve(dirname(file), named['tokenFile']);
    }
  }
  return undefined;
}

/** @throws ISTHMUS_KUBE_CONFIG when the file cannot be read or is empty */
export async function readToken(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((thrown: unknown) => {
    throw KUBE_CONFIG.from(thrown, `token file ${file}`);
  });
  const token = text.trim();
  if (token === '') throw KUBE_CONFIG(`token file ${file} is empty`);
  return token;
}

function kubeconfigFiles(kubeconfig: string): string[] {
  if (kubeconfig !== '') return [kubeconfig];
  const files = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  return files.length > 0 ? files : [join(homedir(), '.kube', 'config')];
}

/** The client has already parsed these files; what it could not read is its to complain about. */
function usersIn(text: string): Readonly<Record<string, unknown>>[] {
  const config: unknown = parse(text);
  const users = isRecord(config) ? config['users'] : undefined;
  return Array.isArray(users) ? users.filter(isRecord) : [];
}
