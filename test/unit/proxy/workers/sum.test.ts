import { expect, test } from 'vitest';
import { sumPages } from '../../../../proxy/workers/sum.ts';

test('counts are added, what all see alike is not', () => {
  const a =
    'cluster.a.upstream_rq_total: 3\ncluster.a.membership_total: 2\ncontrol_plane.connected_state: 1\n';
  const b =
    'cluster.a.upstream_rq_total: 4\ncluster.a.membership_total: 2\ncontrol_plane.connected_state: 0\n';
  expect(sumPages([a, b])).toBe(
    'cluster.a.upstream_rq_total: 7\ncluster.a.membership_total: 2\ncontrol_plane.connected_state: 1\n',
  );
});

test('lines of hosts: the value is what stands last', () => {
  const page = (n: number) =>
    `a::[::1]:80::health::available\na::[::1]:80::weight::5\na::[::1]:80::rq_total::${n}\n`;
  expect(sumPages([page(1), page(10)])).toBe(page(11));
});

test('Prometheus: comments stand once, samples with equal labels are one', () => {
  const page = (n: number) => `# TYPE rq counter\nrq{cluster="a b",le="+Inf"} ${n}\nrq{cluster="c"} 1e2\n`;
  expect(sumPages([page(1), page(2.5)])).toBe(
    '# TYPE rq counter\nrq{cluster="a b",le="+Inf"} 3.5\nrq{cluster="c"} 200\n',
  );
});

test('one page stays as it is', () => {
  expect(sumPages(['a: 1\n\nb: x\n'])).toBe('a: 1\nb: x\n');
});

test.each([
  ['cluster.fileserver.prod.upstream_rq_total: ', 3, 4, 7],
  ['cluster.a.upstream_rq_time.p50: ', 10, 12, 12],
  ['envoy_cluster_upstream_cx_open_total{envoy_cluster_name="xds.default"} ', 1, 1, 2],
  ['isthmus_proxy_xds_cds_resources{} ', 5, 5, 5],
  ['envoy_cluster_membership_healthy{envoy_cluster_name="a"} ', 2, 1, 2],
  ['envoy_server_uptime{} ', 8, 9, 9],
  ['http.in.adaptive_concurrency.gradient_controller.concurrency_limit: ', 8, 9, 17],
  ['http.in.adaptive_concurrency.gradient_controller.min_rtt_msecs: ', 8, 9, 9],
  ['http.in.adaptive_concurrency.gradient_controller.gradient: ', 900, 1_100, 1_100],
])('%s', (key, a, b, sum) => {
  expect(sumPages([`${key}${a}\n`, `${key}${b}\n`])).toBe(`${key}${sum}\n`);
});
