// bytes.mjs source: a TCP server that sends BYTES to whoever connects, then ends; prints its port.
// bytes.mjs sink PORT CONNECTIONS: reads all of it from so many connections, prints how many bytes came, and ends.
import { connect, createServer } from 'node:net';

const BYTES = 256 * 1024 * 1024;
const PIECE = Buffer.alloc(256 * 1024, 'x');
const [what, port, connections] = process.argv.slice(2);

if (what === 'source') {
  const server = createServer((socket) => {
    let left = BYTES;
    const more = () => {
      while (left > 0) {
        left -= PIECE.length;
        if (!socket.write(PIECE)) return;
      }
      socket.end();
    };
    socket.on('drain', more);
    socket.on('error', () => socket.destroy());
    more();
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
  process.once('SIGTERM', () => process.exit(0));
} else {
  const buffer = Buffer.alloc(256 * 1024);
  const one = () =>
    new Promise((resolve, reject) => {
      let count = 0;
      const socket = connect({
        port: Number(port),
        host: '127.0.0.1',
        onread: { buffer, callback: (length) => ((count += length), true) },
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(count));
    });
  const counts = await Promise.all(Array.from({ length: Number(connections) }, one));
  process.stdout.write(`${counts.reduce((sum, count) => sum + count, 0)}\n`);
}
