// Who may watch one more service on a server that several sources share.
import { expect, test } from 'vitest';
import { SEATS, Seats } from '../../../adapters/seats.ts';

const takeMany = (seats: Seats, server: string, own: number, times: number) =>
  Array.from({ length: times }, () => seats.take(server, own)).filter((leave) => leave !== undefined);

test('sources of one server have the seats together, those of another one their own', () => {
  const seats = new Seats();
  expect(takeMany(seats, 'a', 100, 100)).toHaveLength(100);
  const second = takeMany(seats, 'a', 100, 100);
  expect(second).toHaveLength(SEATS - 100);
  expect(takeMany(seats, 'b', 100, 100)).toHaveLength(100);
  for (const leave of second.slice(0, 3)) leave();
  expect(takeMany(seats, 'a', 100, 100)).toHaveLength(3);
});

test('a source that is configured for more has more', () => {
  const seats = new Seats();
  expect(takeMany(seats, 'a', 150, 200)).toHaveLength(150);
  expect(takeMany(seats, 'a', 128, 1)).toHaveLength(0);
});
