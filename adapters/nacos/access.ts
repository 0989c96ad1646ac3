// What a source shows to Nacos: a user and a password, or a token from a file, and its certificates. Files
// are read when they are needed, so that a new password or token counts at once. Never logs any of them.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { NacosSource } from '../../config/schema.ts';
import { NACOS_FILE } from './errors.ts';

export type AccessConfig = Pick<NacosSource, 'username' | 'password' | 'passwordFile' | 'tokenFile' | 'tls'>;

/** undefined: the source has no token file. */
export async function readTokenFile({ tokenFile }: AccessConfig): Promise<string | undefined> {
  return tokenFile === '' ? undefined : read('tokenFile', tokenFile);
}

/** The form of a login; undefined: the source has no user. */
export async function loginForm(config: AccessConfig): Promise<string | undefined> {
  const { username, passwordFile } = config;
  if (username === '') return undefined;
  const password = passwordFile === '' ? config.password : await read('passwordFile', passwordFile);
  return new URLSearchParams({ username, password }).toString();
}

/** @throws ISTHMUS_NACOS_FILE */
export function readTls({ tls }: AccessConfig): { ca?: string; cert?: string; key?: string } {
  const pem = (field: 'ca' | 'cert' | 'key') => {
    const file = tls?.[field] ?? '';
    if (file === '') return {};
    try {
      return { [field]: readFileSync(file, 'utf8') };
    } catch (thrown) {
      throw NACOS_FILE.from(thrown, `tls.${field}`, file);
    }
  };
  return { ...pem('ca'), ...pem('cert'), ...pem('key') };
}

async function read(field: string, file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (thrown) {
    throw NACOS_FILE.from(thrown, field, file);
  }
}
