// What can go wrong with a Nacos server, in words that say what to do. No message has a password or a token.
import { defineError } from '../../lib/errors.ts';

export const NACOS_ANSWER = defineError(
  'ISTHMUS_NACOS_ANSWER',
  (url: string, what: string) => `Nacos at ${url}: ${what}`,
  {
    hint: 'Check `urls` and `contextPath` (by default /nacos). The port is that of the server, 8848, not that of the console.',
  },
);
export const NACOS_DENIED = defineError(
  'ISTHMUS_NACOS_DENIED',
  (url: string, said: string) => `Nacos at ${url} does not let us in: ${said}`,
  {
    hint: 'Check `username` and `password` (or their files). The user needs read on the namespace; from Nacos 3 on it must be an administrator.',
  },
);
export const NACOS_NAMESPACE = defineError(
  'ISTHMUS_NACOS_NAMESPACE',
  (namespace: string, known: string) => `Nacos knows no namespace "${namespace}"; there are: ${known}`,
  { hint: 'Set `namespace` to the ID of a namespace; the name that the console shows is another thing.' },
);
export const NACOS_UNREACHABLE = defineError(
  'ISTHMUS_NACOS_UNREACHABLE',
  (url: string) => `no answer from Nacos at ${url}`,
  { hint: 'Check `urls` (http or https?), `tls` and the network.' },
);
export const NACOS_FILE = defineError(
  'ISTHMUS_NACOS_FILE',
  (field: string, file: string) => `${field}: cannot read ${file}`,
  {
    hint: 'The file must be there and readable for the user that runs Isthmus; paths are relative to the config file.',
  },
);
