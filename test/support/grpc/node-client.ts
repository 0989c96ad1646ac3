// The same as client.py on @grpc/grpc-js and its xDS plugin, in a process of its own, since the bootstrap is
// read from the environment:   node --import tsx node-client.ts PORT TARGET CALLS_PER_SECOND [USERS]
import { createServer } from 'node:http';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import { register } from '@grpc/grpc-js-xds';

const [port = '', target = '', rate = '', users = '0'] = process.argv.slice(2);
const answers: Record<string, number> = {};
const failures: string[] = [];
const same = (bytes: Buffer): Buffer => bytes;

register();
const client = new Client(target, credentials.createInsecure());

function call(user: string): Promise<string> {
  const metadata = new Metadata();
  if (user !== '') metadata.set('x-user', user);
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 10_000 };
    client.makeUnaryRequest(
      '/isthmus.test.Who/Ask',
      same,
      same,
      Buffer.alloc(0),
      metadata,
      options,
      (error, answer) => {
        if (error) reject(new Error(`${status[error.code]}: ${error.details}`));
        else resolve(`${user === '' ? '' : `${user}/`}${answer?.toString() ?? ''}`);
      },
    );
  });
}

async function callForEver(): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    const user = users === '0' ? '' : `u${turn % Number(users)}`;
    const begin = performance.now();
    try {
      const name = await call(user);
      answers[name] = (answers[name] ?? 0) + 1;
    } catch (thrown) {
      failures.push(`${new Date().toISOString()} ${String(thrown)}`);
    }
    const rest = 1000 / Number(rate) - (performance.now() - begin);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, rest)));
  }
}

createServer((_, response) => response.end(JSON.stringify({ answers, failures }))).listen(
  Number(port),
  '127.0.0.1',
);
await callForEver();
