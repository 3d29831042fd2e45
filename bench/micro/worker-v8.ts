// V8 as it is in a worker: to be imported by whatever measures code of a worker in a process that is none.

import { setFlagsFromString } from "node:v8";
import { WORKER_V8_FLAGS } from "../../src/supervisor/worker-v8-flags.ts";

for (const flag of WORKER_V8_FLAGS) setFlagsFromString(flag);
