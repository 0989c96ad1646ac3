// A sample service: says who it is. node backend.mjs NAME [HOST:PORT]
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

export function backend(name, host, port) {
  return createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(`${JSON.stringify({ instance: name, host: req.headers.host ?? '', path: req.url })}\n`);
  }).listen(port, host);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [name = 'backend', listen = '0.0.0.0:8080'] = process.argv.slice(2);
  const [host = '', port] = listen.split(':');
  backend(name, host, Number(port));
}
