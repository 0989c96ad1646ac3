// The servers of an ensemble, in the form of ZooKeeper's connect string: HOST:PORT,HOST:PORT/CHROOT. Pure.

export interface Server {
  readonly host: string;
  readonly port: number;
}

export interface Ensemble {
  readonly servers: readonly Server[];
  /** '' or a path that begins with a slash and does not end with one. */
  readonly chroot: string;
}

const DEFAULT_PORT = 2181;

/** Texts were checked by the config's schema. Only the last server carries the chroot of all. */
export function parseServers(texts: readonly string[]): Ensemble {
  let chroot = '';
  const servers = texts.map((text) => {
    const slash = text.indexOf('/');
    if (slash >= 0) chroot = text.slice(slash).replace(/\/+$/, '');
    return parseServer(slash < 0 ? text : text.slice(0, slash));
  });
  return { servers, chroot };
}

function parseServer(text: string): Server {
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  return { host: v6 ?? name ?? text, port: port === undefined ? DEFAULT_PORT : Number(port) };
}

/** Absolute, without a slash at its end ('' for the root). */
export function rootOf(chroot: string, path: string): string {
  const parts = `${chroot}/${path}`.split('/').filter((part) => part !== '');
  return parts.map((part) => `/${part}`).join('');
}
