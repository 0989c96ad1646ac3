// The smallest upstream there can be: answers every GET on a kept connection with 200 and 33 bytes, or
// 10 KB for /10k, without looking at anything but the blank line. It must not be what a bench waits for. Not an HTTP server: requests
// must have no body. Prints its port when it is up; SIGTERM ends it.
import { createServer } from 'node:net';

const answerOf = (body) =>
  Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    'latin1',
  );
const SMALL = answerOf('answer of the bench upstream: ok\n');
const LARGE = answerOf('x'.repeat(10_240));

const server = createServer({ noDelay: true }, (socket) => {
  let rest = '';
  socket.on('data', (bytes) => {
    const heads = (rest + bytes.toString('latin1')).split('\r\n\r\n');
    rest = heads.pop() ?? '';
    for (const head of heads) socket.write(head.startsWith('GET /10k ') ? LARGE : SMALL);
  });
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.once('SIGTERM', () => process.exit(0));
