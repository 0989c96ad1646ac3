import type { Row } from '../types.ts';
export const proxyRow: Row = {
  name: 'proxy',
  title: 'x',
  metrics: [],
  goals: [],
  own: 'isthmus',
  measureMs: 1,
  prepare: () => Promise.reject(new Error('not yet')),
};
