// The servers of a Eureka cluster, and what is shown to each of them. No message has a password.
import { readFileSync } from 'node:fs';
import type { EurekaSource } from '../../config/schema.ts';
import { EUREKA_TLS } from './errors.ts';

export interface Server {
  /** Without userinfo and without a slash at its end: also what messages call it. */
  readonly base: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** User and password in the URL are those of this server; else the source's. */
export function serverOf(text: string, config: Pick<EurekaSource, 'username' | 'password'>): Server {
  const url = new URL(text);
  const inUrl = url.username !== '' || url.password !== '';
  const user = inUrl ? decodeURIComponent(url.username) : config.username;
  const password = inUrl ? decodeURIComponent(url.password) : config.password;
  url.username = '';
  url.password = '';
  const credentials = Buffer.from(`${user}:${password}`).toString('base64');
  const anonymous = user === '' && password === '';
  return {
    base: url.href.replace(/\/+$/, ''),
    headers: anonymous ? {} : { authorization: `Basic ${credentials}` },
  };
}

/** @throws ISTHMUS_EUREKA_TLS */
export function readTls(tls: EurekaSource['tls']): { ca?: string; cert?: string; key?: string } {
  const read = (field: 'ca' | 'cert' | 'key') => {
    const file = tls?.[field] ?? '';
    if (file === '') return {};
    try {
      return { [field]: readFileSync(file, 'utf8') };
    } catch (thrown) {
      throw EUREKA_TLS.from(thrown, field, file);
    }
  };
  return { ...read('ca'), ...read('cert'), ...read('key') };
}
