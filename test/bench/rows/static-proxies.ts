// nginx, haproxy and fast-proxy as further peers of the proxy rows, when they are there: one process, one core, kept
// connections to the upstream, no access log. They have static configs, and so less to do per request.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { findBinary } from '../../support/peers.ts';
import type { Child, Stage } from '../types.ts';
import { httpGet, until, untilEnded } from '../wait.ts';

export interface Started {
  readonly name: string;
  readonly version: string;
  readonly child: Child;
  readonly port: number;
}

interface Kind {
  config(dir: string, port: number, upstream: number): string;
  args(file: string, dir: string, port: number, upstream: number): string[];
  readonly versionFlag: string;
}

export type StaticName = 'nginx' | 'haproxy' | 'fast-proxy';

const KINDS: Readonly<Record<StaticName, Kind>> = {
  nginx: {
    versionFlag: '-v',
    args: (file, dir) => ['-p', dir, '-c', file, '-e', join(dir, 'error.log')],
    config: (dir, port, upstream) => `
daemon off; master_process off; pid ${dir}/nginx.pid; error_log ${dir}/error.log;
events { worker_connections 2048; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 1h;
  client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f;
  uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  upstream app { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`,
  },
  haproxy: {
    versionFlag: '-v',
    args: (file) => ['-db', '-f', file],
    config: (_dir, port, upstream) => `
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option http-keep-alive
  option forwardfor
  http-reuse always
frontend outbound
  bind 127.0.0.1:${port}
  default_backend app
backend app
  server upstream 127.0.0.1:${upstream}
`,
  },
  'fast-proxy': {
    versionFlag: '-v',
    args: (_file, _dir, port, upstream) => [String(port), String(upstream)],
    config: () => '',
  },
};

/** Rejects, with the reason, when it is not installed or does not answer. */
export async function startStatic(
  name: StaticName,
  stage: Stage,
  upstream: number,
  signal: AbortSignal,
): Promise<Started> {
  const command = findBinary(name);
  if (command === undefined) throw new Error('not installed (test/support/servers/get.sh)');
  const kind = KINDS[name];
  const asked = stage.children.start({ name, core: stage.cores.load, command, args: [kind.versionFlag] });
  await untilEnded(asked, signal);
  const version = /\d+\.\d+\.\d+/.exec(asked.stdout() + asked.stderr())?.[0] ?? '?';

  const dir = join(stage.dir, name);
  const file = join(dir, `${name}.conf`);
  const port = await freePort();
  await mkdir(dir);
  await writeFile(file, kind.config(dir, port, upstream));
  const child = stage.children.start({
    name,
    core: stage.cores.server,
    command,
    args: kind.args(file, dir, port, upstream),
  });
  await until('an answer', child, signal, async () =>
    (await httpGet(port, '/', signal)).status === 200 ? true : undefined,
  );
  return { name, version, child, port };
}
