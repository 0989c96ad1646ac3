// A hand on an etcd server: one key an instance, in the layout `json`.
import { etcdHand as etcdCalls } from '../../contract/fixtures/etcd.ts';
import { byService, idOf, surplus } from './hand.ts';
import type { Hand, Instance } from './hand.ts';
import { fromJsonValue, jsonValue } from './json-values.ts';

const unbase64 = (text: string) => Buffer.from(text, 'base64').toString();
const base64 = (text: string) => Buffer.from(text).toString('base64');

/** @param url http://HOST:PORT of a member. @param prefix ends with a slash. */
export function etcdHand(url: string, prefix: string): Hand {
  const calls = etcdCalls(url);
  const keyOf = (service: string, instance: Instance) => `${prefix}${service}/${idOf(instance)}`;
  const list = async () => {
    const answer = await calls.post('kv/range', {
      key: base64(prefix),
      range_end: base64(`${prefix.slice(0, -1)}0`),
    });
    const kvs = (answer['kvs'] ?? []) as { key: string; value: string }[];
    return kvs.map(({ key, value }) => {
      const [service = ''] = unbase64(key).slice(prefix.length).split('/');
      return [service, fromJsonValue(unbase64(value))] as const;
    });
  };
  const ask = async () => byService(await list());
  return {
    async set(service, instances) {
      for (const instance of instances) await calls.put(keyOf(service, instance), jsonValue(instance));
      for (const gone of surplus((await ask()).get(service) ?? [], instances)) {
        await calls.delete(keyOf(service, gone));
      }
    },
    ask,
    close: async () => undefined,
  };
}
