import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { SOURCE_KINDS } from '../../../config/explain.ts';
import { loadConfig, parseConfig } from '../../../config/load.ts';
import type { LoadOptions } from '../../../config/load.ts';
import { formatProblem } from '../../../config/problems.ts';

function problems(text: string, options: LoadOptions = {}): readonly string[] {
  const result = parseConfig(text, 'isthmus.yaml', options);
  return result.ok ? [] : result.problems.map(formatProblem);
}

function config(text: string, options: LoadOptions = {}) {
  const result = parseConfig(text, '/etc/isthmus/isthmus.yaml', options);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.config;
}

const GOOD = `
sources:
  - name: vms
    kind: file
    path: ./vms/*.yaml
  - { name: consul-dc1, kind: consul, address: http://127.0.0.1:8500 }
`;

describe('a config that can be used', () => {
  it('fills in the defaults and makes paths absolute from the file', () => {
    const read = config(GOOD);
    expect(read.xds.plaintext).toBe('127.0.0.1:15010');
    expect(read.admin.listen).toBe('127.0.0.1:15080');
    expect(read.sources[0]).toMatchObject({
      path: '/etc/isthmus/vms/*.yaml',
      format: 'file_sd',
      required: true,
    });
  });

  it('keeps an absolute path and resolves a kubeconfig', () => {
    const read = config(`
sources:
  - { name: a, kind: file, path: /srv/a.json }
  - { name: k, kind: kubernetes, kubeconfig: prod.conf }
  - { name: here, kind: kubernetes }
`);
    expect(read.sources).toMatchObject([
      { path: '/srv/a.json' },
      { kubeconfig: '/etc/isthmus/prod.conf' },
      { kubeconfig: '' },
    ]);
  });
});

describe('where values come from', () => {
  const text = `${GOOD}xds: { plaintext: "127.0.0.1:1" }\n`;

  it('flag beats own variable beats file', () => {
    const env = { ISTHMUS_XDS_PLAINTEXT: '127.0.0.1:2', ISTHMUS_ADMIN_LISTEN: '127.0.0.1:3' };
    expect(config(text).xds.plaintext).toBe('127.0.0.1:1');
    expect(config(text, { env }).xds.plaintext).toBe('127.0.0.1:2');
    expect(config(text, { env, flags: { 'xds.plaintext': '127.0.0.1:4' } }).xds.plaintext).toBe(
      '127.0.0.1:4',
    );
    expect(config(text, { env }).admin.listen).toBe('127.0.0.1:3');
  });

  it("takes etcdctl's variables only where the file is silent", () => {
    const env = {
      ETCDCTL_ENDPOINTS: 'https://a:2379,b:2379',
      ETCDCTL_USER: 'reader:se:cret',
      ETCDCTL_CACERT: '/ca.pem',
    };
    const etcd = `sources:
  - { name: a, kind: etcd }
  - { name: b, kind: etcd, endpoints: ["c:2379"], auth: { username: x, password: y }, tls: { ca: ca.pem } }
`;
    expect(config(etcd, { env }).sources).toMatchObject([
      {
        endpoints: ['https://a:2379', 'b:2379'],
        auth: { username: 'reader', password: 'se:cret' },
        tls: { ca: '/ca.pem', cert: '' },
      },
      {
        endpoints: ['c:2379'],
        auth: { username: 'x', password: 'y' },
        tls: { ca: '/etc/isthmus/ca.pem', cert: '' },
      },
    ]);
    expect(
      problems('sources: [{ name: a, kind: etcd }]', { env: { ETCDCTL_ENDPOINTS: 'nonsense' } })[0],
    ).toMatch(/^ETCDCTL_ENDPOINTS: /);
  });

  it("takes Consul's own variables only where the file is silent", () => {
    const env = { CONSUL_HTTP_ADDR: '10.0.0.1:8501', CONSUL_HTTP_SSL: 'true', CONSUL_HTTP_TOKEN: 't' };
    const read = config(`${GOOD}  - { name: dc2, kind: consul }\n`, { env });
    expect(read.sources[1]).toMatchObject({ address: 'http://127.0.0.1:8500', token: 't' });
    expect(read.sources[2]).toMatchObject({ address: 'https://10.0.0.1:8501', token: 't' });
  });

  it.each([
    [{ CONSUL_HTTP_SSL: '1' }, { address: 'https://127.0.0.1:8500' }],
    [{ CONSUL_HTTP_SSL: 'yes' }, { address: 'http://127.0.0.1:8500' }],
    [{ CONSUL_HTTP_ADDR: 'http://c:1', CONSUL_HTTP_SSL: 'T' }, { address: 'https://c:1' }],
    [{ CONSUL_HTTP_ADDR: 'https://c:1', CONSUL_HTTP_SSL: 'false' }, { address: 'https://c:1' }],
    [
      { CONSUL_HTTP_TOKEN_FILE: '/t', CONSUL_HTTP_TOKEN: 'x' },
      { tokenFile: '/t', token: 'x' },
    ],
    [{ CONSUL_CACERT: 'ca.pem' }, { tls: { ca: resolve('ca.pem'), verify: true, serverName: '' } }],
    [
      { CONSUL_CLIENT_CERT: '/c', CONSUL_CLIENT_KEY: '/k', CONSUL_TLS_SERVER_NAME: 'n' },
      { tls: { cert: '/c', key: '/k', serverName: 'n' } },
    ],
    [{ CONSUL_HTTP_SSL_VERIFY: 'false' }, { tls: { verify: false, ca: '' } }],
    [{ CONSUL_HTTP_SSL_VERIFY: 'true' }, { tls: undefined }],
    [
      { CONSUL_NAMESPACE: 'a', CONSUL_PARTITION: 'b' },
      { namespace: 'a', partition: 'b' },
    ],
  ])('%j is read as Consul itself reads it', (env, expected) => {
    expect(config('sources: [{ name: c, kind: consul }]', { env }).sources[0]).toMatchObject(expected);
  });

  it.each<unknown>([{}, { toString: 1 }, 'toString', 'constructor', null])(
    'a kind %j has no variables',
    (kind) => {
      const text = JSON.stringify({ sources: [{ name: 'a', kind }] });
      expect(problems(text, { env: { CONSUL_HTTP_ADDR: 'a:1' } })).not.toEqual([]);
    },
  );

  it('a token, a token file or a mapping of the file is not mixed with variables', () => {
    const text = `sources:
  - { name: a, kind: consul, token: mine }
  - { name: b, kind: consul, tokenFile: /mine, tls: { ca: /mine.pem } }
`;
    const env = { CONSUL_HTTP_TOKEN: 't', CONSUL_HTTP_TOKEN_FILE: '/t', CONSUL_HTTP_SSL_VERIFY: '0' };
    expect(config(text, { env }).sources).toMatchObject([
      { token: 'mine', tokenFile: '' },
      { token: '', tokenFile: '/mine', tls: { ca: '/mine.pem', verify: true } },
    ]);
  });

  it('blames the flag or the variable, not a line of the file', () => {
    expect(problems(GOOD, { flags: { 'xds.plaintext': 'here' }, env: { ISTHMUS_LOG_LEVEL: 'inf' } })).toEqual(
      [
        '--xds: xds.plaintext: expected HOST:PORT, such as 127.0.0.1:15010; got "here"',
        'ISTHMUS_LOG_LEVEL: logLevel: unknown value "inf", did you mean "info"?',
      ],
    );
    expect(problems('sources: [{ name: c, kind: consul }]', { env: { CONSUL_HTTP_ADDR: 'x y' } })).toEqual([
      'CONSUL_HTTP_ADDR: sources[0].address: expected a URL such as http://127.0.0.1:8500; got "http://x y"',
    ]);
  });
});

it('a namespaceSelector is one of Kubernetes', () => {
  const text = (selector: string) =>
    `sources: [{ name: k, kind: kubernetes, namespaceSelector: ${selector} }]`;
  const good =
    '{ matchExpressions: [{ key: team, operator: In, values: [a, b] }, { key: x/y, operator: Exists }] }';
  expect(config(text(good)).sources[0]).toMatchObject({
    namespaceSelector: {
      matchLabels: {},
      matchExpressions: [
        { key: 'team', operator: 'In', values: ['a', 'b'] },
        { key: 'x/y', operator: 'Exists', values: [] },
      ],
    },
  });
  for (const bad of [
    '{ key: team, operator: In }',
    '{ key: team, operator: Exists, values: [a] }',
    '{ key: "a,b", operator: Exists }',
    '{ key: team, operator: NotIn, values: ["a)"] }',
    '{ key: team, operator: Is, values: [a] }',
  ]) {
    expect(problems(text(`{ matchExpressions: [${bad}] }`))).toHaveLength(1);
  }
});

describe('a config that cannot be used', () => {
  it('names line, column, field and a suggestion', () => {
    const text = `# ours
sources:
  - name: vms
    kind: file
    path: a.yaml
  - name: c
    kind: consull
`;
    expect(problems(text)).toEqual([
      'isthmus.yaml:7:11: sources[1].kind: unknown kind "consull", did you mean "consul"?',
    ]);
  });

  it('tells all problems at once, in the order of the text', () => {
    const text = `
sources:
  - name: c
    kind: consull
    adress: http://127.0.0.1:8500
    address: 127.0.0.1:8500
  - name: c
    kind: file
  - kind: zzzzzzzz
    name: UPPER
admin: { listen: 127.0.0.1:99999 }
xds: [1]
logLevel: loud
soruces: []
`;
    expect(problems(text)).toEqual([
      'isthmus.yaml:4:11: sources[0].kind: unknown kind "consull", did you mean "consul"?',
      'isthmus.yaml:5:5: sources[0].adress: unknown field, did you mean "address"?',
      'isthmus.yaml:6:14: sources[0].address: expected a URL such as http://127.0.0.1:8500; got "127.0.0.1:8500"',
      'isthmus.yaml:7:5: sources[1].path: missing (text)',
      'isthmus.yaml:7:11: sources[1].name: "c" is already the name of sources[0]',
      `isthmus.yaml:9:11: sources[2].kind: unknown kind "zzzzzzzz" (known: ${SOURCE_KINDS.join(', ')})`,
      'isthmus.yaml:11:18: admin.listen: expected HOST:PORT, such as 127.0.0.1:15010; got "127.0.0.1:99999"',
      'isthmus.yaml:12:6: xds: expected a mapping, got a list',
      expect.stringMatching(/^isthmus\.yaml:13:11: logLevel: unknown value "loud" \(known: debug, /),
      'isthmus.yaml:14:1: soruces: unknown field, did you mean "sources"?',
    ]);
  });

  it.each([
    ['', 'isthmus.yaml:1:1: the file is empty; a config needs at least "sources:"'],
    ['# nothing\n', 'isthmus.yaml:1:1: the file is empty; a config needs at least "sources:"'],
    ['- a\n', 'isthmus.yaml:1:1: expected a mapping with "sources:", got a list'],
    ['hello', 'isthmus.yaml:1:1: expected a mapping with "sources:", got "hello"'],
    ['sources: []', 'isthmus.yaml:1:10: sources: needs at least one entry'],
    ['logLevel: info', 'isthmus.yaml:1:1: sources: missing (a list)'],
    ['sources: [hello]', 'isthmus.yaml:1:11: sources[0]: expected a mapping, got "hello"'],
    [
      'sources: [{ name: a }]',
      `isthmus.yaml:1:11: sources[0].kind: missing (one of ${SOURCE_KINDS.join(', ')})`,
    ],
  ])('%j', (text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });

  it('refuses what is not YAML, with the place', () => {
    expect(problems('sources:\n  - name: "a\n')[0]).toMatch(/^isthmus\.yaml:\d+:\d+: not valid YAML: /);
    expect(problems('a: [1, 2\nb: }')[0]).toMatch(/^isthmus\.yaml:\d+:\d+: not valid YAML: /);
    expect(problems('a: 1\n---\nb: 2\n')[0]).toMatch(/not valid YAML/);
  });

  it('refuses the same field twice and still checks the rest', () => {
    expect(problems('sources: [{ name: a, kind: file }]\nlogLevel: info\nlogLevel: warn\n')).toEqual([
      'isthmus.yaml:1:11: sources[0].path: missing (text)',
      'isthmus.yaml:3:1: the same field twice',
    ]);
  });

  it('refuses a bomb of aliases', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 9; i += 1) {
      lines.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]`);
    }
    expect(problems(lines.join('\n'))[0]).toMatch(/not valid YAML: .*alias/i);
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        const result = parseConfig(text, 'f.yaml');
        expect(result.ok || result.problems.length > 0).toBe(true);
      }),
    );
  });

  it('never throws, whatever stands in the fields', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.constantFrom('name', 'kind', 'path', 'include'), fc.jsonValue())),
        (s) => {
          const text = JSON.stringify({ sources: s });
          const result = parseConfig(text, 'f.yaml');
          expect(result.ok || result.problems.every((p) => p.line > 0 && p.column > 0)).toBe(true);
        },
      ),
    );
  });
});

describe('secrets', () => {
  it.each([
    ['a malformed one', '{ name: a, kind: zookeeper, auth: hunter2 }'],
    ['one of the wrong type', '{ name: a, kind: consul, token: [hunter2] }'],
    ['one inside a URL', '{ name: a, kind: consul, address: "ftp://me:hunter2@127.0.0.1:1" }'],
  ])('%s is not repeated in a problem', (_, source) => {
    const found = problems(`sources: [${source}]\n`);
    expect(found).toHaveLength(1);
    expect(found.join()).not.toContain('hunter2');
  });
});

describe('loadConfig', () => {
  let dir: string | undefined;
  afterEach(async () => {
    if (dir) await rm(dir, { recursive: true });
    dir = undefined;
  });

  it('reads a file and throws one error with every problem', async () => {
    dir = await mkdtemp(join(tmpdir(), 'isthmus-config-'));
    const file = join(dir, 'isthmus.yaml');
    await writeFile(file, 'sources: [{ name: A, kind: file, path: x }, { name: b, kind: file }]');
    await expect(loadConfig(file)).rejects.toMatchObject({
      code: 'ISTHMUS_CONFIG_INVALID',
      message: expect.stringMatching(/sources\[0\]\.name: [^]*\n[^]*sources\[1\]\.path: missing/),
    });
  });

  it('says which file cannot be read', async () => {
    await expect(loadConfig('/nowhere/isthmus.yaml')).rejects.toMatchObject({
      code: 'ISTHMUS_CONFIG_UNREADABLE',
      message: expect.stringContaining('/nowhere/isthmus.yaml'),
    });
  });
});

describe('xds.tls', () => {
  it('has files beside the config, and stands beside the plaintext listener or alone', () => {
    const tls = '{ listen: ":15012", cert: x.pem, key: /k/x.key, clientCa: ca.pem }';
    expect(config(`${GOOD}xds: { plaintext: "", tls: ${tls} }\n`).xds).toMatchObject({
      plaintext: '',
      tls: {
        listen: ':15012',
        cert: '/etc/isthmus/x.pem',
        key: '/k/x.key',
        clientCa: '/etc/isthmus/ca.pem',
        identitiesFile: '',
        recheck: 30_000,
      },
    });
    expect(config(`${GOOD}xds: { tls: ${tls} }\n`).xds.plaintext).toBe('127.0.0.1:15010');
  });

  it('a trust domain is a name, not an id', () => {
    const tls = (domain: string) =>
      `${GOOD}xds: { tls: { listen: ":1", cert: c, key: k, clientCa: a, trustDomain: "${domain}" } }\n`;
    expect(config(tls('td_1.example.org')).xds.tls?.trustDomain).toBe('td_1.example.org');
    for (const wrong of ['spiffe://example.org', 'Example.org', 'example.org/ns', '*', '', 'x'.repeat(256)]) {
      expect(problems(tls(wrong)), wrong).toEqual([expect.stringContaining('xds.tls.trustDomain')]);
    }
  });

  it('every fault has its place', () => {
    expect(problems(`${GOOD}xds: { plaintext: "" }\n`)).toEqual([
      expect.stringMatching(/xds\.plaintext: expected an address, or `xds\.tls` beside it/),
    ]);
    const text = `${GOOD}xds: { tls: { listen: here, cert: x.pem, clientCA: ca.pem, recheck: 0s } }\n`;
    expect(problems(text).join('\n')).toMatch(/xds\.tls\.listen: expected HOST:PORT.*got "here"/);
    expect(problems(text).join('\n')).toMatch(/xds\.tls\.clientCA: unknown field, did you mean "clientCa"/);
    expect(problems(text).join('\n')).toMatch(/xds\.tls\.key: /);
    expect(problems(text).join('\n')).toMatch(/xds\.tls\.recheck: expected a duration above 0/);
  });
});
