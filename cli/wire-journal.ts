// The journal of a control plane: where it is written, and how its past is read.
import { join } from 'node:path';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { historyOf, overridesAt, stateAt } from '../aggregator/journal/history.ts';
import { openJournal } from '../aggregator/journal/journal.ts';
import type { History } from '../admin/app.ts';
import type { Change } from '../model/change.ts';
import type { EndpointOverride } from '../model/rules.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface WiredJournal {
  append(changes: readonly Change[]): void;
  /** @param overridesOf what operators set, in force now. */
  history(
    aggregator: Aggregator,
    overridesOf: (service: string) => ReadonlyMap<string, EndpointOverride>,
  ): History;
  close(): Promise<void>;
}

/** @param dataDir ''; nothing is written and nothing is known of the past. */
export function wireJournal(dataDir: string, log: Logger, metrics: Metrics): WiredJournal | undefined {
  if (dataDir === '') return undefined;
  const journal = openJournal({ directory: join(dataDir, 'journal'), log });
  const stop = metrics.beforeScrape(() => metrics.journal.dropped.set(journal.state.dropped));
  return {
    append: (changes) => journal.append(changes),
    history: (aggregator, overridesOf) => ({
      async changes(service, since) {
        const all = await journal.read({ service });
        const slice = aggregator.current.services.get(service);
        return historyOf(service, slice, all).filter(({ at }) => at >= since);
      },
      async at(service, at) {
        aggregator.flush();
        const slice = aggregator.current.services.get(service);
        const changes = await journal.read({ service });
        return {
          words: stateAt(service, slice, changes, at),
          overrides: overridesAt(service, overridesOf(service), changes, at),
        };
      },
    }),
    async close() {
      stop();
      await journal.close();
    },
  };
}
