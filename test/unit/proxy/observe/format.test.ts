import { describe, expect, test } from 'vitest';
import { Flag } from '../../../../proxy/flags.ts';
import { detailsOf } from '../../../../proxy/observe/details.ts';
import { DEFAULT_FORMAT, DEFAULT_JSON, jsonFormat, textFormat } from '../../../../proxy/observe/format.ts';
import { LogView, StreamRecord } from '../../../../proxy/observe/record.ts';

function view(more: Partial<StreamRecord> = {}): LogView {
  const record = new StreamRecord();
  Object.assign(record, {
    startedMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    startAt: 100,
    requestAt: 101.5,
    responseAt: 110,
    endAt: 123.9,
    requestText:
      'GET /a?b=c HTTP/1.1\r\nHost: Orders:80\r\nUser-Agent: curl\r\nx-many: 1\r\nX-Many: 2\r\nx-request-id: id\r\n\r\n',
    responseText: 'HTTP/1.1 200 OK\r\nX-Envoy-Upstream-Service-Time: 7\r\n\r\n',
    fromUpstream: true,
    status: 200,
    sentBytes: 5,
    receivedBytes: 3,
    upstream: '[::1]:81',
    client: '10.0.0.1',
    clientPort: 99,
    ...more,
  });
  const made = new LogView();
  made.read(record);
  return made;
}

const line = (format: string, more?: Partial<StreamRecord>) => textFormat(format)(view(more));

describe('log formats', () => {
  test('what is no ASCII is written as UTF-8: literals, keys, and what came over the wire', () => {
    const written = (made: string) => Buffer.from(made, 'latin1').toString('utf8');
    const agent = Buffer.from('Käse', 'utf8').toString('latin1');
    const requestText = `GET / HTTP/1.1\r\nuser-agent: ${agent}`;
    expect(written(line('größer → %REQ(USER-AGENT)%', { requestText }))).toBe('größer → Käse');
    const json = jsonFormat({ länge: 'é %REQ(USER-AGENT)%', '→': '%REQ(USER-AGENT)%' });
    expect(JSON.parse(written(json(view({ requestText }))))).toEqual({ länge: 'é Käse', '→': 'Käse' });
  });

  test("Envoy's default format", () => {
    expect(line(DEFAULT_FORMAT)).toBe(
      '[2026-01-02T03:04:05.678Z] "GET /a?b=c HTTP/1.1" 200 - 3 5 23 7 "-" "curl" "id" "Orders:80" "[::1]:81"\n',
    );
  });

  test.each([
    ['%%%PROTOCOL%%%', '%HTTP/1.1%'],
    ['%REQ(X-NONE?X-MANY)%', '1,2'],
    ['%REQ(USER-AGENT):2%', 'cu'],
    ['%REQ_WITHOUT_QUERY(:PATH)%', '/a'],
    ['%START_TIME(%Y/%m/%d %T.%3f %s)%', '2026/01/02 03:04:05.678 1767323045'],
    ['%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', '1 10 13'],
    ['%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%', '::1 81'],
    ['%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_PORT%', '10.0.0.1:99 -'],
    ['%RESP(:STATUS)% %RESPONSE_CODE_DETAILS%', '200 via_upstream'],
  ])('%s', (format, expected) => {
    expect(line(format)).toBe(expected);
  });

  test.each([
    '%NOPE%',
    '%REQ%',
    '%REQ(a b)%',
    '%TRAILER(x)%',
    '%PROTOCOL(x)%',
    '100 % sure',
    '%START_TIME(%Q)%',
  ])('refuses %s', (format) => {
    expect(() => textFormat(format)).toThrow(/%/);
  });

  test('JSON keeps numbers, sorts keys, and says null or nothing', () => {
    const template = {
      z: '%DURATION%',
      a: { n: '%REQ(X-NONE)%', t: 'x %REQ(X-NONE)%' },
      l: [1, '%PROTOCOL%'],
    };
    expect(jsonFormat(template)(view())).toBe('{"a":{"n":null,"t":"x -"},"l":[1,"HTTP/1.1"],"z":23}\n');
    expect(jsonFormat(template, true)(view())).toBe('{"a":{"t":"x "},"l":[1,"HTTP/1.1"],"z":23}\n');
  });

  test('the default JSON is one line that can be read', () => {
    const text = jsonFormat(DEFAULT_JSON)(view({ requestText: 'GET / HTTP/1.1\r\nuser-agent: "\\\r\n\r\n' }));
    expect(text.endsWith('}\n')).toBe(true);
    expect(JSON.parse(text)).toMatchObject({
      user_agent: '"\\',
      response_code: 200,
      upstream_host: '[::1]:81',
    });
  });

  test('a connection that carried no request', () => {
    expect(line(DEFAULT_FORMAT, { requestText: '', responseText: '', status: 0, upstream: '' })).toBe(
      '[2026-01-02T03:04:05.678Z] "- - -" 0 - 3 5 23 - "-" "-" "-" "-" "-"\n',
    );
  });

  test.each([
    [{ fromUpstream: false, flags: Flag.DC, status: 0 }, 'downstream_remote_disconnect'],
    [{ fromUpstream: true, flags: Flag.UC }, 'upstream_reset_after_response_started{connection_termination}'],
    [{ fromUpstream: true, flags: Flag.URX }, 'via_upstream'],
    [{ fromUpstream: false, flags: 0, status: 302 }, 'direct_response'],
    [
      { fromUpstream: false, flags: Flag.UF | Flag.URX, connectFailure: 'connect timeout', status: 503 },
      'upstream_reset_before_response_started{remote_connection_failure|connect_timeout}',
    ],
    [{ fromUpstream: false, flags: 0, status: 408, localBody: 'request timeout' }, 'request_overall_timeout'],
  ] as const)('details of %j', (more, expected) => {
    expect(detailsOf(view(more).record)).toBe(expected);
  });
});
