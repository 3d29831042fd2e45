// What the doctor found: how bad it is, about what, why it matters, and what to do.
//
// A finding is plain data, printed as a table or as JSON; docs/operations.md has its shape. A check that cannot be made is a
// finding, too, of level "unknown": what is not looked at must not look fine.

/** From good to bad: all is well; nobody knows; it will hurt; it hurts. */
export type Level = "ok" | "unknown" | "warning" | "error";

export interface Finding {
  readonly level: Level;
  /** What was looked at, for example `topic clicks`. */
  readonly subject: string;
  /** What is so, with names and numbers. */
  readonly message: string;
  /** Why that matters; absent if nothing is wrong, or if the message says it. */
  readonly why?: string;
  /** What to do; absent if nothing is wrong. */
  readonly remedy?: string;
  /** The name of the check, for scripts: it does not change. Absent: that of the group of checks that made it. */
  readonly check?: string;
}

/** As it is printed. */
export type NamedFinding = Finding & { readonly check: string };

export const ok = (subject: string, message: string): Finding => ({ level: "ok", subject, message });

export const warning = (subject: string, message: string, remedy: string): Finding => ({
  level: "warning",
  subject,
  message,
  remedy,
});

export const error = (subject: string, message: string, remedy: string): Finding => ({
  level: "error",
  subject,
  message,
  remedy,
});

/** Of what could not be looked at. */
export const unknown = (subject: string, message: string, remedy: string): Finding => ({
  level: "unknown",
  subject,
  message,
  remedy,
});

/** Gives findings that have no name of their own the name of the check that made them. */
export function named(check: string, findings: readonly Finding[]): NamedFinding[] {
  return findings.map((finding) => ({ check, ...finding }));
}

/** Of a mistake as commands print it, which says after its last semicolon what to do. */
export function mistakeFinding(subject: string, mistake: string): Finding {
  const at = mistake.lastIndexOf("; ");
  return error(subject, mistake.slice(0, at), mistake.slice(at + 2));
}
