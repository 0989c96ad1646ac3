// The smallest upstream there can be: answers every GET on a kept connection with 200 and 33 bytes, without
// looking at anything but the blank line. It must not be what a bench waits for. Not an HTTP server: requests
// must have no body. Prints its port when it is up; SIGTERM ends it.
import { createServer } from 'node:net';

const BODY = 'answer of the bench upstream: ok\n';
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
  'latin1',
);

const server = createServer({ noDelay: true }, (socket) => {
  let rest = '';
  socket.on('data', (bytes) => {
    const heads = (rest + bytes.toString('latin1')).split('\r\n\r\n');
    rest = heads.pop() ?? '';
    for (let count = heads.length; count > 0; count -= 1) socket.write(ANSWER);
  });
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.once('SIGTERM', () => process.exit(0));
