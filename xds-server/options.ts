// What the server is given. It knows nothing of who listens to what it reports.
import type { Clock } from '../lib/clock.ts';
import type { AppReport, Registration, SidecarDoor } from '../model/sidecars.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { FlowLimits } from './flow/limits.ts';
import type { CheckSettings } from './hds/messages.ts';
import type { HealthReport, MisdirectionReport } from './hds/service.ts';

export interface XdsServerOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /**
   * How long streams wait for setReady(true) before they get what there is (then only additions, until it
   * comes). Default 60,000 ms.
   */
  readonly startupTimeoutMs?: number;
  /** What clients may cost. */
  readonly limits?: Partial<FlowLimits>;
  /** How often data planes report their load. Default 10,000 ms. */
  readonly loadReportIntervalMs?: number;
  /** Percent of their outbound requests that Envoys tell of one by one. Default 10; 0: none. */
  readonly accessLogSamplePercent?: number;
  /** How data planes check endpoints for us; see setHealthChecks(). */
  readonly healthChecks?: Partial<CheckSettings> & { readonly checkers?: number };
  /** What data planes found of those endpoints: once per interval for each endpoint and checker. */
  readonly onHealth?: (report: HealthReport) => void;
  /** What sidecars found of the apps beside them: at every report, changed or not. */
  readonly onApp?: (report: AppReport) => void;
  /** What a sidecar is taken to say of the app beside it; see sidecarsChanged(). Default: what it says. */
  readonly completeSidecar?: (said: Registration) => Registration;
  /** Told when somebody answered a data plane in another name than it asked for. */
  readonly onMisdirected?: (report: MisdirectionReport) => void;
  /** Told of data planes that stand beside a service. Default: nobody is. */
  readonly onSidecar?: SidecarDoor;
}
