// h2spec's report, in JUnit's XML: what became of each case.

export interface H2specReport {
  /** How many cases were run or skipped. */
  readonly cases: number;
  /** `package: what the case does`, for example `http2/6.7: Sends a PING frame`, and what came instead. */
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

//   testcase := "<testcase" package classname time ">" [ "<error>" text "</error>" | "<skipped>" "</skipped>" ] "</testcase>"
const CASE = /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs;
const FAILURE = /<(?:error|failure)[^>]*>(.*?)<\/(?:error|failure)>/s;

export function readH2specReport(xml: string): H2specReport {
  let cases = 0;
  const failed: string[] = [];
  const skipped: string[] = [];
  for (const [, section, title, outcome = ""] of xml.matchAll(CASE)) {
    cases++;
    const name = `${section}: ${unescapeXml(title ?? "")}`;
    const failure = FAILURE.exec(outcome);
    if (failure !== null) failed.push(`${name}, got ${unescapeXml(failure[1] ?? "").replaceAll("\n", ", ")}`);
    else if (outcome.includes("<skipped")) skipped.push(name);
  }
  return { cases, failed, skipped };
}

function unescapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replaceAll(
    /&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      return entities[name ?? ""] ?? whole;
    },
  );
}
