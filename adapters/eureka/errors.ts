// What can go wrong with a Eureka server, in words that say what to do. No message has a password.
import { defineError } from '../../lib/errors.ts';

export const EUREKA_ANSWER = defineError(
  'ISTHMUS_EUREKA_ANSWER',
  (url: string, what: string) => `Eureka at ${url}: ${what}`,
  { hint: 'Does each of `urls` end where /apps begins (with Spring: http://HOST:8761/eureka)?' },
);
export const EUREKA_DENIED = defineError(
  'ISTHMUS_EUREKA_DENIED',
  (url: string, said: string) => `Eureka at ${url} does not let us read its registry: ${said}`,
  {
    hint: 'Check `username` and `password`. 403 is also what a Eureka server says that has just started and waits for its peers.',
  },
);
export const EUREKA_UNREACHABLE = defineError(
  'ISTHMUS_EUREKA_UNREACHABLE',
  (url: string) => `no registry from Eureka at ${url}`,
  { hint: 'Check `urls` (http or https?), `tls` and the network.' },
);
export const EUREKA_TLS = defineError(
  'ISTHMUS_EUREKA_TLS',
  (field: string, file: string) => `tls.${field}: cannot read ${file}`,
  { hint: '`tls.ca`, `tls.cert` and `tls.key` are PEM files; paths are relative to the config file.' },
);
export const EUREKA_WRITE = defineError(
  'ISTHMUS_EUREKA_WRITE',
  (what: string, why: string) => `${what} failed: ${why}`,
  { hint: 'Does each of `urls` end where /apps begins, and may this user register instances there?' },
);
