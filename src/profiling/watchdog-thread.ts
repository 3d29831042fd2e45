// The watchdog's thread; see watchdog.ts.
//
// It counts its own looks instead of reading a clock: a process that was stopped, or a machine that slept, was not stuck.
//
// When the supervisor is gone and the main thread does not come back, nobody is left to end this process, and it would keep its
// spool locked. It ends itself then, once a drain would have been over.

import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Debugger, InspectorNotification } from "node:inspector";
import { join } from "node:path";
import { workerData } from "node:worker_threads";
import { STUCK_FILE_PREFIX, type StuckFrame, type StuckReport } from "./stuck-report.ts";
import type { WatchdogData } from "./watchdog.ts";

const LOOK_MS = 1_000;
const SAMPLES = 40;
const INTERVAL_MS = 25;
/** A thread that runs JavaScript can be paused, and goes on, within microseconds; one that does not is outside of it. */
const PAUSE_TIMEOUT_MS = 2_000;
const FRAMES_MAX = 64;
/** Reports that nobody took. */
const FILES_MAX = 4;
/** A thread that is stuck again and again is looked at once in a while. */
const COOL_DOWN_LOOKS = 60;
/** What a worker without a supervisor takes to drain, and some more: nothing is lost by ending it then. */
const ORPHAN_LOOKS = 10;

const { heartbeat, dir, timeoutMs, supervisorPid } = workerData as WatchdogData;
const timeoutLooks = Math.ceil(timeoutMs / LOOK_MS);

const sleep = (ms: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });

/** @param urls of scripts by id; the frames' own are empty. */
function framesOf(callFrames: readonly Debugger.CallFrame[], urls: ReadonlyMap<string, string>): StuckFrame[] {
  return callFrames.slice(0, FRAMES_MAX).map(({ functionName, location, functionLocation }) => ({
    name: functionName,
    url: urls.get(location.scriptId) ?? "",
    line: location.lineNumber + 1,
    startLine: (functionLocation ?? location).lineNumber + 1,
  }));
}

/** Pauses the main thread some dozen times, and lets it go on each time. */
async function look(stuckMs: number): Promise<StuckReport> {
  const { Session } = await import("node:inspector/promises");
  const atMs = Date.now();
  const beat = Atomics.load(heartbeat, 0);
  const stacks = new Map<string, { readonly frames: StuckFrame[]; count: number }>();
  const urls = new Map<string, string>();
  const session = new Session();
  let problem: string | undefined;
  try {
    session.connectToMainThread();
    let paused: (frames: StuckFrame[]) => void = () => {};
    session.on("Debugger.paused", ({ params }: InspectorNotification<Debugger.PausedEventDataType>) => {
      paused(framesOf(params.callFrames, urls));
    });
    session.on("Debugger.scriptParsed", ({ params }: InspectorNotification<Debugger.ScriptParsedEventDataType>) => {
      urls.set(params.scriptId, params.url);
    });
    /** What comes too late may reject when the session ends; nobody waits for it then. */
    const inTime = async <T>(answer: Promise<T>): Promise<T | undefined> => {
      answer.catch(() => {});
      return await Promise.race([answer, sleep(PAUSE_TIMEOUT_MS).then(() => undefined)]);
    };
    const enabled = await inTime(session.post("Debugger.enable"));
    const samples = enabled === undefined ? 0 : SAMPLES;
    for (let i = 0; i < samples && Atomics.load(heartbeat, 0) === beat; i++) {
      const seen = new Promise<StuckFrame[]>((resolve) => {
        paused = resolve;
      });
      // What the thread has not answered when the session ends rejects then: it is outside of JavaScript.
      session.post("Debugger.pause").catch(() => {});
      const frames = await inTime(seen);
      if (frames === undefined) break;
      const resumed = await inTime(session.post("Debugger.resume"));
      const key = JSON.stringify(frames);
      const stack = stacks.get(key);
      if (stack === undefined) stacks.set(key, { frames, count: 1 });
      else stack.count += 1;
      if (resumed === undefined) break;
      await sleep(INTERVAL_MS);
    }
    if (stacks.size === 0)
      problem =
        Atomics.load(heartbeat, 0) === beat
          ? "It could not be paused: it is outside of JavaScript, in native code or in the system."
          : "It came back before it could be looked at.";
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  } finally {
    // Whatever is pending in the main thread ends with the session, a pause too.
    session.disconnect();
  }
  return {
    atMs,
    stuckMs,
    intervalMs: INTERVAL_MS,
    stacks: [...stacks.values()],
    ...(problem === undefined ? {} : { problem }),
  };
}

function write(report: StuckReport): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const old = readdirSync(dir).filter((name) => name.startsWith(STUCK_FILE_PREFIX));
  for (const name of old.sort().slice(0, Math.max(0, old.length + 1 - FILES_MAX))) rmSync(join(dir, name));
  const path = join(dir, `${STUCK_FILE_PREFIX}${report.atMs}.json`);
  writeFileSync(`${path}.tmp`, JSON.stringify(report), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

let last = -1;
let stuckLooks = 0;
let orphanedLooks = 0;
let coolLooks = 0;
/** Once for each time that it is stuck: what never comes back is one incident, not one a minute. */
let looked = false;

setInterval(() => {
  const beat = Atomics.load(heartbeat, 0);
  stuckLooks = beat === last ? stuckLooks + 1 : 0;
  if (stuckLooks === 0) looked = false;
  last = beat;
  coolLooks = Math.max(0, coolLooks - 1);
  orphanedLooks = stuckLooks > 0 && process.ppid !== supervisorPid ? orphanedLooks + 1 : 0;
  if (orphanedLooks >= Math.max(timeoutLooks, ORPHAN_LOOKS)) process.kill(process.pid, "SIGKILL");
  // One look without a heartbeat says nothing: after a stop, this thread may be the first to go on.
  if (looked || coolLooks > 0 || stuckLooks <= timeoutLooks) return;
  looked = true;
  coolLooks = COOL_DOWN_LOOKS;
  void look(stuckLooks * LOOK_MS)
    .then(write)
    // A disk that takes nothing is told by others; without the report it is a worker that does not answer.
    .catch(() => {});
}, LOOK_MS);
