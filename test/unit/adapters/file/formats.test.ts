import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupsFromFileSd } from '../../../../adapters/file/file-sd.ts';
import { groupsFromManifests } from '../../../../adapters/file/manifests.ts';
import { IsthmusError } from '../../../../lib/errors.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const options = { locality: NO_LOCALITY, network: '', serviceNamespace: 'default' };
const sd = (...texts: string[]) =>
  groupsFromFileSd(
    texts.map((text, n) => ({ file: `vms/${n}.yaml`, text })),
    options,
  );
const kube = (...texts: string[]) =>
  groupsFromManifests(
    texts.map((text, n) => ({ file: `pods/${n}.yaml`, text })),
    options,
  );

describe('file_sd', () => {
  test('every label that has a meaning', () => {
    const [group] = groupsFromFileSd(
      [
        {
          file: 'a.yaml',
          text: `
- targets: ["10.0.0.2:8080", "[2001:DB8::1]:8080"]
  labels:
    service: Orders
    namespace: shop
    weight: 20
    version: v1
    port_name: http
    protocol: HTTP2
    zone: z1
    region: eu
    network: vpc
`,
        },
      ],
      { locality: { region: 'us', zone: 'z0', subZone: 'rack' }, network: '', serviceNamespace: 'default' },
    );
    const common = {
      port: 8080,
      portName: 'http',
      network: 'vpc',
      health: 'unknown',
      weight: 20,
      labels: { version: 'v1' },
      locality: { region: 'eu', zone: 'z1', subZone: 'rack' },
    };
    expect(group).toEqual({
      service: 'orders.shop',
      aliases: ['orders.shop'],
      ports: [{ name: 'http', port: 0, protocol: 'http2' }],
      primaryPort: 'http',
      endpoints: [
        { address: '10.0.0.2', ...common },
        { address: '2001:db8::1', ...common },
      ],
    });
  });

  test('defaults: namespace of the source, unnamed port, weight 1', () => {
    const [group] = groupsFromFileSd(
      [{ file: 'a.json', text: '[{"targets": ["10.0.0.1:80"], "labels": {"service": "orders"}}]' }],
      { locality: { region: '', zone: 'dc1', subZone: '' }, network: 'n', serviceNamespace: 'legacy' },
    );
    expect(group).toMatchObject({
      service: 'orders.legacy',
      aliases: ['orders', 'orders.legacy'],
      primaryPort: '',
      endpoints: [{ portName: '', weight: 1, network: 'n', locality: { zone: 'dc1' } }],
    });
  });

  test('a service may be spread over groups and files; the same target counts once', () => {
    const [one, ...others] = sd(
      '[{targets: ["10.0.0.2:80", "10.0.0.1:80"], labels: {service: orders, version: v1}}]',
      '[{targets: ["10.0.0.3:80", "10.0.0.1:80"], labels: {service: orders, version: v2}}, {targets: [], labels: {service: users}}]',
    );
    expect(one?.endpoints.map((e) => [e.address, e.labels['version']])).toEqual([
      ['10.0.0.1', 'v1'],
      ['10.0.0.2', 'v1'],
      ['10.0.0.3', 'v2'],
    ]);
    expect(others.map((g) => [g.service, g.endpoints.length])).toEqual([['users.default', 0]]);
  });

  test('an empty list is a source without services', () => {
    expect(sd('[]')).toEqual([]);
  });

  test.each([
    ['', 'vms/0.yaml:1:1: the file is empty'],
    ['# nothing yet\n', 'vms/0.yaml:1:1: the file is empty'],
    [
      '[{targets: ["10.0.0.1:80"], labels: {version: v1}}]',
      'vms/0.yaml:1:37: the label "service" is required',
    ],
    ['- targets: ["10.0.0.1:80"]\n', 'vms/0.yaml:1:3: the label "service" is required'],
    ['[{targets: ["no host:80"], labels: {service: a}}]', 'vms/0.yaml:1:13: "no host:80" is not HOST:PORT'],
    ['[{targets: ["2001:db8::1:80"], labels: {service: a}}]', 'is not HOST:PORT'],
    ['[{targets: ["10.0.0.1:0"], labels: {service: a}}]', 'is not HOST:PORT'],
    ['[{targets: ["10.0.0.1:65536"], labels: {service: a}}]', 'is not HOST:PORT'],
    [
      '- targets: ["10.0.0.1:80"]\n  labels:\n    service: a\n    weight: -1\n',
      'vms/0.yaml:4:13: weight "-1" is not',
    ],
    ['[{targets: ["10.0.0.1:80"], labels: {service: a, weight: "1.5"}}]', 'weight "1.5" is not'],
    [
      '- targets:\n    - 10.0.0.1:80\n  label:\n    service: a\n',
      'vms/0.yaml:1:3: 0: Unrecognized key: "label"',
    ],
    ['{targets: []}', 'vms/0.yaml:1:1: Invalid input: expected array'],
    ['[{"targets": ["10.0.0.1:80"], "labels": {"service": "a"}}', 'vms/0.yaml:1:58: not YAML'],
    ['- targets: [\n', 'not YAML'],
    ['[]\n---\n[]\n', 'vms/0.yaml:3:1: a second YAML document'],
    ['<html><body>502</body></html>', 'Invalid input: expected array, received string'],
    ['a: &a [x]\nb: *missing\n', 'not YAML'],
  ])('%j is refused with its place', (text, message) => {
    expect(() => sd(text)).toThrow(message);
  });

  test('a bomb of aliases is refused, not unfolded', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let n = 1; n < 9; n += 1)
      lines.push(
        `a${n}: &a${n} [${Array(10)
          .fill(`*a${n - 1}`)
          .join(', ')}]`,
      );
    expect(() => sd(lines.join('\n'))).toThrow('not YAML that can be used');
  });

  test('random text is refused with a code, or read; never anything else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          sd(text);
          kube(text);
        } catch (thrown) {
          if (!(thrown instanceof IsthmusError) || thrown.code !== 'ISTHMUS_FILE_INVALID') throw thrown;
        }
      }),
    );
  });
});

const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop, annotations: { isthmus.dev/port: "9090" } }
spec:
  ports:
    - { name: http, port: 80, targetPort: 8080 }
    - { name: grpc, port: 9090 }
`;
const SLICE = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: orders-1, namespace: shop, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 8080 }, { name: grpc, port: 9090 }]
endpoints:
  - addresses: [10.0.0.1]
    conditions: { ready: true }
    zone: a
  - addresses: [10.0.0.2]
    conditions: { ready: false, serving: true, terminating: true }
`;

describe('kubernetes manifests', () => {
  const expected = [
    {
      service: 'orders.shop',
      primaryPort: 'grpc',
      endpoints: [
        { address: '10.0.0.1', port: 8080, health: 'healthy', locality: { zone: 'a' } },
        { address: '10.0.0.1', port: 9090, health: 'healthy' },
        { address: '10.0.0.2', port: 8080, health: 'draining' },
        { address: '10.0.0.2', port: 9090, health: 'draining' },
      ],
    },
  ];

  test('several documents, several files, other kinds passed over', () => {
    expect(kube(`${SERVICE}---${SLICE}---\nkind: Deployment\nspec: {replicas: 3}\n`)).toMatchObject(expected);
    expect(kube(SERVICE, SLICE)).toMatchObject(expected);
    expect(
      kube('apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: other}\n', SERVICE, SLICE),
    ).toMatchObject(expected);
  });

  test('lists, of any kind and typed, as JSON too', () => {
    const items = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line, n) => (n === 0 ? `- ${line}` : `  ${line}`))
        .join('\n');
    expect(kube(`apiVersion: v1\nkind: List\nitems:\n${items(SERVICE)}\n${items(SLICE)}\n`)).toMatchObject(
      expected,
    );
    const typed = {
      kind: 'ServiceList',
      apiVersion: 'v1',
      items: [{ metadata: { name: 'users' }, spec: { ports: [{ port: 80 }] } }],
    };
    expect(kube(JSON.stringify(typed)).map((g) => g.service)).toEqual(['users.default']);
  });

  test.each([
    ['', 'pods/0.yaml:1:1: the file is empty'],
    ['---\n---\n', 'the file is empty'],
    ['- 1\n', 'pods/0.yaml:1:1: Invalid input: expected object'],
    ['metadata: {name: a}\n', 'kind: Invalid input'],
    ['kind: Service\nmetadata: {}\n', 'pods/0.yaml:2:11: metadata.name'],
    [
      SLICE.replace('10.0.0.2', 'pod-2'),
      'pods/0.yaml:11:17: endpoints.1.addresses.0: "pod-2" is not an IP address',
    ],
    [SLICE.replace('port: 8080', 'port: 80800'), 'pods/0.yaml:6:29: ports.0.port'],
    [SLICE.replace('kubernetes.io/service-name', 'app'), 'kubernetes.io/service-name'],
    [SLICE.replace('[10.0.0.1]', '[]'), 'endpoints.0.addresses'],
    [
      `kind: List\nitems:\n  - kind: Service\n    metadata: {name: 7}\n`,
      'pods/0.yaml:4:22: items.0.metadata.name',
    ],
    [`${SERVICE}---\nkind: Service\nmetadata: {name: ""}\n`, 'pods/0.yaml:11:18: metadata.name'],
  ])('%j is refused with its place', (text, message) => {
    expect(() => kube(text)).toThrow(message);
  });
});
