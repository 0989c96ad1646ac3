// The form in which shards are kept and shared, written down: a change of it shows here, and what was written in any
// earlier form is still read.
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { readShard, writeShard } from '../../../aggregator/cluster/records.ts';
import { readWhole } from '../../../aggregator/lkg/read.ts';
import { shardFrom, shardText } from '../../../aggregator/shard-text.ts';
import { contentHash } from '../../../lib/hash.ts';
import { plainShard } from '../../../model/shard.ts';
import type { Shard } from '../../../model/shard.ts';

const PLAIN: Shard = plainShard(
  {
    service: 'orders.default',
    aliases: ['orders.service.consul'],
    ports: [{ name: '', port: 0, protocol: 'http' }],
    primaryPort: '',
    endpoints: [
      {
        address: '10.0.0.1',
        port: 8080,
        portName: '',
        network: '',
        health: 'healthy',
        weight: 3,
        labels: { version: 'v1' },
        locality: { region: 'eu', zone: 'dc1', subZone: '' },
      },
    ],
  },
  1_700_000_000_000,
);
const MARKED: Shard = {
  ...PLAIN,
  marks: new Map([['10.0.0.1:8080', { doubted: { since: 5, cause: 'hold-over' }, damping: 0.5 }]]),
  lost: 'drain',
};

const GROUP =
  '{"service":"orders.default","aliases":["orders.service.consul"],"ports":[{"name":"","port":0,"protocol":"http"}],' +
  '"primaryPort":"","endpoints":[{"address":"10.0.0.1","port":8080,"portName":"","network":"","health":"healthy",' +
  '"weight":3,"labels":{"version":"v1"},"locality":{"region":"eu","zone":"dc1","subZone":""}}]}';
const SINCE = '"since":[1700000000000]';
const MARKS = '"marks":[["10.0.0.1:8080",{"doubted":{"since":5,"cause":"hold-over"},"damping":0.5}]]';

it('is this', () => {
  expect(shardText(PLAIN)).toBe(`{"group":${GROUP},${SINCE}}`);
  expect(shardText(MARKED)).toBe(`{"group":${GROUP},${SINCE},${MARKS},"lost":"drain"}`);
});

it.each([
  ['today', `{"group":${GROUP},${SINCE}}`, PLAIN],
  ['today, with marks', `{"group":${GROUP},${SINCE},${MARKS},"lost":"drain"}`, MARKED],
  ['in buckets until November 2026, without marks', `{"group":${GROUP},${SINCE},"marks":[]}`, PLAIN],
  [
    'in buckets until November 2026',
    `{"group":${GROUP},${SINCE},"marks":${MARKS.slice(8)},"lost":"drain"}`,
    MARKED,
  ],
])('is read as it was written %s', (_, text, shard) => {
  expect(shardFrom(text)).toEqual(shard);
});

it('comes back from text as it was', () => {
  for (const shard of [PLAIN, MARKED]) expect(shardFrom(shardText(shard))).toEqual(shard);
});

it('a record of a bucket that an older replica wrote is read, and so are ours', () => {
  const text = `{"group":${GROUP},${SINCE},${MARKS}}`;
  const head = Buffer.from(JSON.stringify({ token: 7, hash: contentHash(text) }));
  const old = Buffer.concat([
    Buffer.of(0, head.length >> 8, head.length & 0xff),
    head,
    Buffer.of(1),
    deflateRawSync(text),
  ]);
  const none = () => undefined;
  expect(readShard(old, none)).toEqual({
    token: 7,
    hash: contentHash(text),
    shard: { ...PLAIN, marks: MARKED.marks },
  });
  const { value, hash } = writeShard(MARKED, 9, 1e6);
  expect(readShard(value, none)).toEqual({ token: 9, hash, shard: MARKED });
});

it('a file of last known good of an older Isthmus is read', async () => {
  const lines = [
    '{"format":"isthmus-last-known-good","version":1,"source":"a","kind":"file","writtenAt":1700000000000}',
    `{"group":${GROUP},${SINCE}}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
  const sha256 = createHash('sha256').update(lines).digest('hex');
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-shard-text-'));
  try {
    const file = join(folder, 'a.lkg');
    await writeFile(file, `${lines}{"shards":1,"sha256":"${sha256}"}\n`);
    const known = await readWhole(file, { source: 'a', kind: 'file', maxBytes: 1e6, notBefore: 0 });
    expect(known?.shards).toEqual([PLAIN]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
