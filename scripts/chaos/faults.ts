// All faults, by the names that the command line takes.

import {
  brokerHangs,
  leaderKilled,
  reassignment,
  rollingRestart,
  topicRecreated,
  twoBrokersKilled,
} from "./broker-faults.ts";
import type { Fault } from "./fault.ts";
import { diskFull, serviceKilled, serviceKilledWithBacklog, serviceRestarted, workerKilled } from "./service-faults.ts";

export const FAULTS: readonly Fault[] = [
  leaderKilled,
  twoBrokersKilled,
  rollingRestart,
  brokerHangs,
  reassignment,
  topicRecreated,
  serviceKilled,
  serviceKilledWithBacklog,
  workerKilled,
  serviceRestarted,
  diskFull,
];
