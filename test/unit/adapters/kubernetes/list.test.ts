import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { listAll } from '../../../../adapters/kubernetes/list.ts';
import { SERVICES, queryOf } from '../../../../adapters/kubernetes/resources.ts';
import { gone, json, serviceList, stub } from './stub.ts';
import type { Answer } from './stub.ts';

const list = async (answer: Answer, maxBytes?: number) => {
  const server = await stub(answer, maxBytes);
  const result = listAll(server.transport, SERVICES, 'shop', AbortSignal.timeout(5_000));
  return { server, result };
};

describe('listAll', () => {
  it('reads every page and takes the version of the list', async () => {
    const { server, result } = await list(({ query }, res) => {
      if (query.get('continue') === null) json(res, serviceList(['a', 'b'], '10', 'p2'));
      else json(res, serviceList(['c'], '10'));
    });
    const { objects, resourceVersion } = await result;
    expect(objects.map((o) => o.metadata?.name)).toEqual(['a', 'b', 'c']);
    expect(resourceVersion).toBe('10');
    expect(server.seen.map((s) => s.query.toString())).toEqual(['limit=500', 'limit=500&continue=p2']);
    expect(server.seen[0]?.path).toBe('/api/v1/namespaces/shop/services');
  });

  it('starts over when a page has expired, and keeps nothing of the first try', async () => {
    let tries = 0;
    const { result } = await list(({ query }, res) => {
      if (query.get('continue') === 'old') json(res, gone, 410);
      else if (query.get('continue') === 'new') json(res, serviceList(['b'], '20'));
      else {
        tries += 1;
        json(res, tries === 1 ? serviceList(['x'], '10', 'old') : serviceList(['a'], '20', 'new'));
      }
    });
    const { objects, resourceVersion } = await result;
    expect(objects.map((o) => o.metadata?.name)).toEqual(['a', 'b']);
    expect(resourceVersion).toBe('20');
  });

  it('gives up when pages expire for ever', async () => {
    const { server, result } = await list(({ query }, res) => {
      if (query.get('continue') === null) json(res, serviceList(['x'], '10', 'old'));
      else json(res, gone, 410);
    });
    await expect(result).rejects.toMatchObject({ code: 'ISTHMUS_KUBE_EXPIRED' });
    expect(server.seen.length).toBe(6);
  });

  it('takes null for an empty list, as Go writes it', async () => {
    const { result } = await list((_, res) =>
      json(res, { kind: 'ServiceList', metadata: { resourceVersion: '3' }, items: null }),
    );
    expect(await result).toEqual({ objects: [], resourceVersion: '3' });
  });

  it.each<[string, Answer, RegExp]>([
    ['HTML', (_, res) => res.end('<html>Please log in</html>'), /not JSON: <html>Please log in/],
    ['half a JSON', (_, res) => res.end('{"kind":"ServiceList","items":['), /not JSON/],
    ['another kind', (_, res) => json(res, { kind: 'PodList', items: [] }), /not a ServiceList/],
    [
      'a list without items',
      (_, res) => json(res, { kind: 'ServiceList', metadata: { resourceVersion: '1' } }),
      /without items/,
    ],
    [
      'no version',
      (_, res) => json(res, { kind: 'ServiceList', metadata: {}, items: [] }),
      /without resourceVersion/,
    ],
    [
      'a nameless object',
      (_, res) => json(res, { ...serviceList([]), items: [{ metadata: {} }] }),
      /cannot be understood/,
    ],
    ['a number', (_, res) => json(res, 7), /not a ServiceList/],
    [
      'the same page for ever',
      (_, res) => json(res, serviceList(['a'], '1', 'again')),
      /the same page again/,
    ],
  ])('refuses %s and never calls it an empty list', async (_, answer, message) => {
    const { result } = await list(answer);
    await expect(result).rejects.toThrow(message);
  });

  it('refuses a body that is cut off', async () => {
    const { result } = await list((_, res) => {
      res.writeHead(200, { 'content-length': '1000' });
      res.write('{"kind":"ServiceList"', () => res.socket?.destroy());
    });
    await expect(result).rejects.toThrow(/aborted|hang up/);
  });

  it('refuses a body that is too long', async () => {
    const { result } = await list((_, res) => json(res, serviceList(['a'.repeat(500)])), 300);
    await expect(result).rejects.toThrow(/the answer is larger than/);
  });

  it('says what to grant when it is forbidden', async () => {
    const message = 'services is forbidden: User "reader" cannot list resource "services"';
    const { result } = await list((_, res) => json(res, { kind: 'Status', message }, 403));
    await expect(result).rejects.toMatchObject({
      code: 'ISTHMUS_KUBE_FORBIDDEN',
      message: expect.stringMatching(
        /not allowed to list services in namespace shop .*grant get, list and watch/,
      ),
    });
  });

  it.each([
    [401, 'ISTHMUS_KUBE_UNAUTHORIZED'],
    [404, 'ISTHMUS_KUBE_ABSENT'],
    [500, 'ISTHMUS_KUBE_STATUS'],
    [302, 'ISTHMUS_KUBE_STATUS'],
  ])('rejects on %i', async (status, code) => {
    const { result } = await list((_, res) => json(res, { message: 'so it is' }, status));
    await expect(result).rejects.toMatchObject({ code, message: expect.stringContaining('so it is') });
  });

  it('waits out a 429 as long as it says, some times', async () => {
    const headers = { 'retry-after': '0' };
    const busy = (res: ServerResponse) => res.writeHead(429, headers).end('{"message":"too many"}');
    let tries = 0;
    const { result } = await list((_, res) => {
      tries += 1;
      if (tries <= 3) busy(res);
      else json(res, serviceList(['a'], '4'));
    });
    expect(await result).toMatchObject({ resourceVersion: '4' });
    const never = await list((_, res) => busy(res));
    await expect(never.result).rejects.toMatchObject({
      code: 'ISTHMUS_KUBE_BUSY',
      message: expect.stringContaining('put off 6 times'),
      retryAfterMs: 0,
    });
    await never.server.transport.probe(queryOf(SERVICES, '*', 'list', {}), AbortSignal.timeout(5_000));
  });

  it('ends when it is told to, even if the server never answers', async () => {
    const server = await stub(() => undefined);
    const result = listAll(server.transport, SERVICES, '*', AbortSignal.timeout(50));
    await expect(result).rejects.toThrow();
  });
});
