import { Agent, createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WrongAnswer } from '../../../adapters/http-json.ts';
import { forAll, say } from '../../../adapters/registrar-http.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(listener: RequestListener, maxSockets = 1) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const agent = new Agent({ keepAlive: true, maxSockets });
  closers.push(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const { signal } = new AbortController();
  return { server, put: () => say({ method: 'PUT', url, headers: {}, body: { a: 1 }, agent, signal }) };
}

describe('what registrars say', () => {
  it('any status is an answer', async () => {
    const { put } = await serve((request, response) => {
      response.statusCode = 503;
      request.on('data', (chunk: Buffer) => response.write(chunk));
      request.on('end', () => response.end());
    });
    expect(await put()).toEqual({ status: 503, text: '{"a":1}' });
  });

  it('is said again when the server has closed the connection of before, and no second time', async () => {
    let closesWith = 0;
    let asked = 0;
    const { put } = await serve((request, response) => {
      asked += 1;
      if (closesWith > 0) {
        closesWith -= 1;
        request.socket.destroy();
      } else response.end('good');
    });
    await put();
    closesWith = 1;
    expect(await put()).toEqual({ status: 200, text: 'good' });
    closesWith = 2;
    await expect(put()).rejects.toThrow('hang up');
    expect(asked).toBe(5);
  });

  it('is said until a connection is new: all that were idle may be dead', async () => {
    const used = new Set<object>();
    let isDead = false;
    const { put } = await serve((request, response) => {
      if (isDead && used.has(request.socket)) return void request.socket.destroy();
      used.add(request.socket);
      response.end('good');
    }, 3);
    await Promise.all([put(), put(), put()]);
    isDead = true;
    expect(used.size).toBe(3);
    expect(await put()).toEqual({ status: 200, text: 'good' });
  });
});

describe('many of them', () => {
  const fault = (cause: unknown) => new Error('refused', { cause });

  it('all have their turn although one is refused; the first one of them is told', async () => {
    const seen: number[] = [];
    const refused = await forAll([1, 2, 3, 4], 2, async (item) => {
      seen.push(item);
      if (item === 1) await new Promise((resolve) => setImmediate(resolve));
      if (item < 3) throw new Error(`refused ${item}`, { cause: new WrongAnswer(400, 'bad') });
    });
    expect(refused?.message).toBe('refused 1');
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  it('silence ends it', async () => {
    const seen: number[] = [];
    const all = forAll([1, 2, 3, 4], 1, async (item) => {
      seen.push(item);
      if (item === 2) throw fault(new Error('ECONNREFUSED'));
    });
    await expect(all).rejects.toThrow('refused');
    expect(seen).toEqual([1, 2]);
  });
});
