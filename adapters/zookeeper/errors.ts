// What can go wrong with a ZooKeeper ensemble, in words that say what to do. No message has a password.
import { defineError } from '../../lib/errors.ts';

export const ZOOKEEPER_UNREACHABLE = defineError(
  'ISTHMUS_ZOOKEEPER_UNREACHABLE',
  (server: string, said: string) => `no session with ZooKeeper at ${server}: ${said}`,
  {
    hint: 'Check `servers` and the network; `echo srvr | nc HOST PORT` asks the same. TLS ports do not work.',
  },
);
export const ZOOKEEPER_DENIED = defineError(
  'ISTHMUS_ZOOKEEPER_DENIED',
  (server: string, path: string) => `ZooKeeper at ${server} does not let us read ${path}`,
  {
    hint: 'Check `auth` (USER:PASSWORD); the ACL of the node, and of all below it, needs read for that user.',
  },
);
export const ZOOKEEPER_PATH = defineError(
  'ISTHMUS_ZOOKEEPER_PATH',
  (server: string, path: string, parent: string, there: string) =>
    `ZooKeeper at ${server} has no node ${path}; under ${parent} there is: ${there}`,
  { hint: 'Set `path` of the source; it is read as soon as it exists.' },
);
export const ZOOKEEPER_LAYOUT = defineError(
  'ISTHMUS_ZOOKEEPER_LAYOUT',
  (layout: string, path: string, why: string, expected: string) =>
    `nothing under ${path} fits the layout ${layout}: ${why}; expected ${expected}`,
  { hint: 'Set `path` and `layout` of the source to what was written there.' },
);
export const ZOOKEEPER_ANSWER = defineError(
  'ISTHMUS_ZOOKEEPER_ANSWER',
  (server: string, what: string) => `ZooKeeper at ${server}: ${what}`,
  { hint: 'Is something else listening on that port, or in front of it?' },
);
