// What a source shows to Consul: its token and its certificates, read from files where the config says so.
// A token that was good stays in use while its file cannot be read. Never logs a token.
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import type { ConsulSource } from '../../config/schema.ts';
import { defineError } from '../../lib/errors.ts';

export const CONSUL_FILE = defineError(
  'ISTHMUS_CONSUL_FILE',
  (field: string, file: string) => `cannot read ${field}: ${file}`,
  { hint: 'The file must be there and readable for the user that runs Isthmus; it is tried again.' },
);

export interface ConsulAccess {
  /** '' for none. */
  readonly token: string;
  /** For node:tls; undefined when the config has nothing to say. */
  readonly tls: ConnectionOptions | undefined;
  /** Looks at the token's file again; true when it holds another token now. Never rejects. */
  refresh(): Promise<boolean>;
}

type AccessConfig = Pick<ConsulSource, 'token' | 'tokenFile' | 'tls'>;

/** @throws ISTHMUS_CONSUL_FILE */
export async function readAccess({ token, tokenFile, tls }: AccessConfig): Promise<ConsulAccess> {
  let current = tokenFile === '' ? token : await readToken(tokenFile);
  const [ca, cert, key] = await Promise.all([
    readPem('tls.ca', tls?.ca),
    readPem('tls.cert', tls?.cert),
    readPem('tls.key', tls?.key),
  ]);
  return {
    get token() {
      return current;
    },
    tls: tls && {
      ca,
      cert,
      key,
      rejectUnauthorized: tls.verify,
      ...(tls.serverName === '' ? {} : { servername: tls.serverName }),
    },
    async refresh() {
      if (tokenFile === '') return false;
      const found = await readToken(tokenFile).catch(() => '');
      if (found === '' || found === current) return false;
      current = found;
      return true;
    },
  };
}

async function readToken(file: string): Promise<string> {
  return (await read('tokenFile', file)).toString('utf8').trim();
}

async function readPem(field: string, file: string | undefined): Promise<Buffer | undefined> {
  return file ? read(field, file) : undefined;
}

async function read(field: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw CONSUL_FILE.from(cause, field, file);
  }
}
