// serve.cjs PORT UPSTREAM_PORT: fast-proxy over undici as its README shows it, on 127.0.0.1. -v: its version.
const { createServer } = require('node:http');
const [port, upstream] = process.argv.slice(2);
if (port === '-v') {
  process.stdout.write(`${require('fast-proxy/package.json').version}\n`);
} else {
  const { proxy } = require('fast-proxy')({
    base: `http://127.0.0.1:${upstream}`,
    undici: { connections: 64, pipelining: 1 },
  });
  const server = createServer((request, response) => {
    proxy(request, response, request.url, {
      rewriteRequestHeaders: (_, headers) => ({
        ...headers,
        'x-forwarded-for': request.socket.remoteAddress,
      }),
    });
  });
  server.keepAliveTimeout = 3_600_000;
  server.listen(Number(port), '127.0.0.1');
  process.once('SIGTERM', () => process.exit(0));
}
