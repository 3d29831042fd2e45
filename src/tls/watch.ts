// Keeps the certificate of a running server that of its files.
//
// Certificates are renewed while services run, mostly by replacing files. They are read once a minute and compared: that works
// on every file system and with every tool that writes them. Rejected: fs.watch, which loses symbolic links that are swapped,
// as Kubernetes swaps its secrets; their times, which a copy may preserve, and which say nothing of a file that was written
// while it was read.

import type { Clock, Timer } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { expiryMs } from "./certificates.ts";
import { readTls, type TlsMaterial, type TlsPaths } from "./files.ts";

const LOOK_MS = 60_000;

export interface TlsWatchDependencies {
  readonly log: Logger;
  readonly clock: Clock;
  /** Told when the certificate in use expires, in seconds since the epoch. */
  readonly expiry?: { set(seconds: number): void };
}

/** Tells of new files, for as long as it is not stopped. What cannot be used is logged, and what was there stays in use. */
export class TlsWatch {
  readonly #log: Logger;
  readonly #expiry: TlsWatchDependencies["expiry"];
  readonly #clock: Clock;
  readonly #paths: TlsPaths;
  readonly #onChange: (material: TlsMaterial) => void;
  #material: TlsMaterial;
  #timer: Timer | undefined;

  /** @param material what is in use. */
  constructor(
    { log, clock, expiry }: TlsWatchDependencies,
    paths: TlsPaths,
    material: TlsMaterial,
    onChange: (material: TlsMaterial) => void,
  ) {
    this.#log = log;
    this.#expiry = expiry;
    this.#clock = clock;
    this.#paths = paths;
    this.#material = material;
    this.#onChange = onChange;
    this.#tellExpiry();
    this.#schedule();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#look();
      this.#schedule();
    }, LOOK_MS);
    this.#timer.unref?.();
  }

  #look(): void {
    try {
      const material = readTls(this.#paths);
      const { cert, key, clientCa } = this.#material;
      if (material.cert === cert && material.key === key && material.clientCa === clientCa) return;
      this.#onChange(material);
      this.#material = material;
      this.#log.info({ certFile: this.#paths.certFile }, "new certificate files are in use, for new connections");
      this.#tellExpiry();
    } catch (thrown) {
      // Half of them may be written; they are looked at again.
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.#log.warn({ reason }, "the certificate files cannot be used; what was read before stays in use");
    }
  }

  #tellExpiry(): void {
    const endsMs = expiryMs(this.#material.cert);
    this.#expiry?.set(endsMs / 1000);
    if (endsMs <= this.#clock.now())
      this.#log.warn({ certFile: this.#paths.certFile, since: new Date(endsMs) }, "the certificate has expired");
  }
}
