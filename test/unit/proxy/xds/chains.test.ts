// Which connections each filter chain takes, and what is refused by name.
import { expect, test } from 'vitest';
import { packAny } from '../../../../proto/codec.ts';
import type { Listener__Output } from '../../../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import { compileChains } from '../../../../proxy/xds/chains.ts';

const inspector = {
  typed_config: packAny('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector', {}),
};
const HTTP = { filter_chain_match: { application_protocols: ['http/1.0', 'http/1.1', 'h2c'] } };

const takes = (listener: object) =>
  compileChains(listener as Listener__Output).map(({ path, takes: spoken }) => [path, [...spoken]]);

test('one chain takes all', () => {
  expect(takes({ filter_chains: [{}] })).toEqual([
    ['filter_chains[0]', ['http/1.0', 'http/1.1', 'h2c', 'other']],
  ]);
});

test('HTTP beside the rest', () => {
  const rest = [
    ['filter_chains[0]', ['http/1.0', 'http/1.1', 'h2c']],
    ['default_filter_chain', ['other']],
  ];
  expect(takes({ listener_filters: [inspector], filter_chains: [HTTP], default_filter_chain: {} })).toEqual(
    rest,
  );
});

test.each([
  ['filter_chains', {}],
  ['filter_chains', { filter_chains: [{}, {}] }],
  ['filter_chains', { filter_chains: [{}, {}, {}] }],
  ['filter_chains[0].filter_chain_match.application_protocols', { filter_chains: [HTTP] }],
  [
    'filter_chains[0].filter_chain_match.application_protocols',
    {
      listener_filters: [inspector],
      filter_chains: [{ filter_chain_match: { application_protocols: ['istio'] } }],
    },
  ],
  [
    'filter_chains[0].filter_chain_match.server_names',
    { listener_filters: [inspector], filter_chains: [{ filter_chain_match: { server_names: ['a'] } }] },
  ],
  ['listener_filters[0].typed_config', { listener_filters: [{ name: 'other' }], filter_chains: [{}] }],
])('refuses by %s', (field, listener) => {
  expect(() => takes(listener)).toThrow(expect.objectContaining({ field }));
});
